//! Clients of other users: this test program again, run by setpriv(1) as somebody else.

use super::client::Client;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const SOCKET: &str = "NARWARDEN_TEST_SOCKET";
const MARK: &str = "reply: ";

/// What `uid` hears in answer to these calls over one connection. `None`, said aloud, where nobody can become
/// somebody else. The test program must have a test `a_client_of_another_user` that calls [`client`].
pub(crate) fn talk(socket: &Path, uid: u32, calls: &[String]) -> Option<Vec<Value>> {
    // Everybody must be able to get to the socket and to the program.
    let directory = socket.parent().unwrap();
    fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    // Copied by another process: were it written by this one, a thread that forks meanwhile would keep it open
    // for writing, and it could not be run.
    static COPIES: AtomicUsize = AtomicUsize::new(0);
    let program = directory.join(format!("client-{}", COPIES.fetch_add(1, Ordering::SeqCst)));
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let child = Command::new("setpriv")
        .args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()])
        .arg(&program)
        .args(["--exact", "a_client_of_another_user", "--nocapture"])
        .env(SOCKET, socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut child = match child {
        Ok(child) if is_root => child,
        Ok(mut child) => {
            let _ = child.wait();
            eprintln!("SKIPPED: only uid 0 can become uid {uid}");
            return None;
        }
        Err(error) => {
            eprintln!("SKIPPED: setpriv: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let text = calls.join("\n") + "\n";
    // A client that could not begin reads nothing; that is looked at below.
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let replies: Vec<_> = text.lines().filter_map(|line| line.split_once(MARK)).collect();
    assert!(output.status.success(), "{text}");
    Some(replies.iter().map(|(_, reply)| serde_json::from_str(reply).unwrap()).collect())
}

/// The other side of it: sends what standard input holds, a call a line, and prints the replies.
pub(crate) fn client() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let mut client = Client::connect(Path::new(&socket));
    for call in std::io::stdin().lines() {
        let call = call.unwrap();
        if call.contains("\"oneway\":true") {
            client.send(call.as_bytes()).unwrap();
            client.send(&[0]).unwrap();
            continue;
        }
        match client.call(&call) {
            Some(reply) => println!("{MARK}{reply}"),
            None => return,
        }
    }
}
