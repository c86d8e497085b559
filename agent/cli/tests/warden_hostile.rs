//! The commands against something at the socket that is no warden: what it says is bounded, parsed and not
//! believed.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use support::{Run, finish, narwarden};
use tempfile::TempDir;

/// Listens, and answers every connection with these bytes.
fn answering(reply: Vec<u8>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    serve(&path, reply);
    (directory, path)
}

fn serve(path: &Path, reply: Vec<u8>) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&reply);
        }
    });
}

fn run(socket: &Path, arguments: &[&str]) -> Run {
    finish(narwarden().args(arguments).arg("--socket").arg(socket))
}

#[test]
fn what_no_warden_says_decides_nothing() {
    let deep = [b"{\"parameters\":".to_vec(), b"[".repeat(100_000), vec![0]].concat();
    let huge =
        [b"{\"parameters\":{\"version\":\"".to_vec(), b"x".repeat(20 << 20), vec![0]].concat();
    for (reply, hint) in [
        (b"".to_vec(), "it hung up"),
        (b"{\"parameters\":{}}".to_vec(), "it hung up"),
        (b"\0".to_vec(), "answers what narwardend would not"),
        (b"garbage\0".to_vec(), "answers what narwardend would not"),
        (b"{}\0".to_vec(), "missing field"),
        (b"[]\0".to_vec(), "answers what narwardend would not"),
        (b"{\"parameters\":[1,2]}\0".to_vec(), "invalid type"),
        (b"{\"parameters\":{\"state\":\"ready\"}}\0".to_vec(), "missing field"),
        (b"{\"error\":7}\0".to_vec(), "answers what narwardend would not"),
        (b"\xff\xfe\0".to_vec(), "answers what narwardend would not"),
        (deep, "recursion limit"),
        (huge, "more than"),
        (b"{\"error\":\"io.narwarden.Busy\"}\0".to_vec(), "busy: try again"),
        (
            b"{\"error\":\"io.narwarden.Unheard\",\"parameters\":{\"a\":\"\\u001b[2J\"}}\0"
                .to_vec(),
            "io.narwarden.Unheard",
        ),
        (
            b"{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{}}\0".to_vec(),
            "of another version",
        ),
        (
            b"{\"error\":\"\\u001b]0;x\\u0007\\nerror: forged\"}\0".to_vec(),
            "narwardend says \\u{1b}]0;x\\u{7}\\u{a}",
        ),
    ] {
        let start: Vec<u8> = reply.iter().take(60).copied().collect();
        let start = String::from_utf8_lossy(&start).into_owned();
        let (_directory, path) = answering(reply);
        for arguments in [&["status"][..], &["status", "--json"]] {
            let run = run(&path, arguments);
            assert_eq!(run.code, Some(3), "{start:?}: {run:?}");
            assert!(run.err.contains(hint), "{start:?}: {hint:?} is not in {run:?}");
            assert!(run.out.is_empty() && !run.err.contains('\u{1b}'), "{start:?}: {run:?}");
            assert_eq!(run.err.lines().count(), 1, "{start:?}: {run:?}");
        }
    }
    let refused = b"{\"error\":\"io.narwarden.Refused\",\"parameters\":{\"reason\":7}}\0".to_vec();
    let (_directory, path) = answering(refused);
    assert_eq!(run(&path, &["reload"]).code, Some(1));
    let (_directory, path) = answering(b"{\"error\":\"io.narwarden.PermissionDenied\"}\0".to_vec());
    assert_eq!(run(&path, &["reload"]).code, Some(2));
}

/// A file that is no socket, a directory, and a socket of another kind.
#[test]
fn what_is_no_socket_is_no_warden() {
    let directory = tempfile::tempdir().unwrap();
    let file = support::write(directory.path(), "file", "x");
    let datagram = directory.path().join("datagram");
    let _socket = std::os::unix::net::UnixDatagram::bind(&datagram).unwrap();
    for path in [&file, directory.path(), &datagram] {
        let run = run(path, &["status"]);
        assert_eq!(run.code, Some(3), "{path:?}: {run:?}");
    }
}

const SOCKET: &str = "NARWARDEN_TEST_LISTEN";

/// Somebody else who listens at a path of their own, and says that all is well, is not believed.
#[test]
fn a_server_of_another_user_is_no_warden() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return eprintln!("SKIPPED: only uid 0 can run a server of another user");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let path = directory.path().join("socket");
    for name in ["server", "narwarden"] {
        let from = if name == "server" {
            std::env::current_exe().unwrap()
        } else {
            env!("CARGO_BIN_EXE_narwarden").into()
        };
        assert!(
            Command::new("cp")
                .arg(from)
                .arg(directory.path().join(name))
                .status()
                .unwrap()
                .success()
        );
    }
    let as_nobody = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(directory.path().join(program)).stdin(Stdio::null());
        command
    };
    let server = as_nobody("server")
        .args(["--exact", "the_server_of_another_user"])
        .env(SOCKET, &path)
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut server) = server else { return eprintln!("SKIPPED: no setpriv(1)") };
    for _ in 0..100 {
        if path.exists() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let refused = run(&path, &["reload"]);
    // The control: its own user believes it.
    let believed = finish(as_nobody("narwarden").args(["reload", "--socket"]).arg(&path));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains("served by uid 65534"), "{refused:?}");
    assert_eq!((believed.code, believed.out.as_str()), (Some(0), "reloaded\n"), "{believed:?}");
}

#[test]
fn the_server_of_another_user() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    serve(Path::new(&path), b"{\"parameters\":{}}\0".to_vec());
    thread::sleep(Duration::from_secs(60));
}
