//! What a sandboxed process can no longer do, and what it still can. Every test restricts a process
//! of its own: this program, run again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use caps::CapSet;
use narwarden_linux::sandbox::{
    AbstractSockets, Access, Capability, Enforced, Landlock, Rules, restrict,
};
use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
};
use rustix::process::{DumpableBehavior, Pid, dumpable_behavior, test_kill_process};
use support::is_root;

/// Says to the inner run which directory to use.
const PLACE: &str = "NARWARDEN_TEST_PLACE";
/// Neither root nor the owner of anything else.
const SOMEONE: u32 = 65_532;

/// Runs the test `inner` of this program in a process of its own, with a directory of its own.
fn run(inner: &str, user: Option<u32>) {
    let place = tempfile::tempdir().unwrap();
    for name in ["in", "out", "change", "change/below", "other"] {
        fs::create_dir(place.path().join(name)).unwrap();
        fs::write(place.path().join(name).join("file"), name).unwrap();
    }
    fs::copy("/bin/true", place.path().join("in/true")).unwrap();
    fs::copy("/bin/true", place.path().join("change/true")).unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", inner, "--ignored", "--nocapture"]).env(PLACE, place.path());
    command.current_dir("/");
    if let Some(user) = user {
        for name in ["in", "out", "change", "change/below", "other"] {
            let entry = place.path().join(name);
            chown(entry.join("file"), Some(user), Some(user)).unwrap();
            chown(&entry, Some(user), Some(user)).unwrap();
        }
        command.uid(user).gid(user);
    }
    match command.output() {
        Err(error) if user.is_some() => {
            eprintln!("SKIPPED, the program is out of reach of another user: {error}");
        }
        output => {
            let output = output.unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
        }
    }
}

fn place(name: &str) -> PathBuf {
    Path::new(&std::env::var_os(PLACE).unwrap()).join(name)
}

/// Read below `in`, anything below `change` and `other`.
fn rules() -> Rules {
    Rules {
        paths: vec![
            (place("in"), Access::Read),
            (place("change"), Access::Change),
            (place("other"), Access::Change),
            ("/proc".into(), Access::Read),
        ],
        ..Rules::default()
    }
}

/// The version of Landlock in force; tests of newer things ask for it.
fn version(enforced: &Enforced) -> u32 {
    assert_eq!(enforced.problems, [""; 0]);
    match enforced.landlock {
        Landlock::Full => u32::MAX,
        Landlock::Part(version) => version,
        Landlock::Nothing => panic!("this kernel has no Landlock: {enforced}"),
    }
}

#[track_caller]
fn assert_denied<T>(result: io::Result<T>) {
    let error = result.err().expect("denied");
    assert!(matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)), "{error}");
}

#[test]
fn files_as_root() {
    if is_root("files as root") {
        run("inner_files", None);
    }
}

#[test]
fn files_as_another_user() {
    run("inner_files", is_root("files as another user").then_some(SOMEONE));
}

fn try_files() {
    assert_eq!(fs::read(place("in/file")).unwrap(), b"in");
    assert_eq!(fs::read_dir(place("in")).unwrap().count(), 2);
    assert_denied(fs::write(place("in/file"), ""));
    assert_denied(File::create(place("in/new")));
    assert_denied(fs::remove_file(place("in/file")));
    assert_denied(Command::new(place("in/true")).status());

    fs::write(place("change/below/file"), "x").unwrap();
    fs::create_dir(place("change/d")).unwrap();
    symlink("x", place("change/d/link")).unwrap();
    fs::rename(place("change/d/link"), place("change/link")).unwrap();
    fs::remove_file(place("change/link")).unwrap();
    fs::remove_dir(place("change/d")).unwrap();
    drop(UnixDatagram::bind(place("change/socket")).unwrap());
    fs::remove_file(place("change/socket")).unwrap();
    assert_denied(Command::new(place("change/true")).status());

    assert_denied(fs::read(place("out/file")));
    assert_denied(fs::read_dir(place("out")));
    assert_denied(fs::write(place("out/file"), ""));
    assert_denied(fs::remove_file(place("out/file")));
    assert_denied(symlink("x", place("out/link")));
    assert_denied(fs::read("/etc/hostname"));
    // By another name it is the same file.
    symlink(place("out/file"), place("change/way-out")).unwrap();
    assert_denied(fs::read(place("change/way-out")));
    fs::remove_file(place("change/way-out")).unwrap();
    let moved = fs::hard_link(place("out/file"), place("change/linked"));
    assert!(moved.is_err(), "links out of what is denied are denied");
}

#[test]
#[ignore = "run by files_as_root and files_as_another_user"]
fn inner_files() {
    // The control: all of it was possible.
    fs::write(place("out/file"), "out").unwrap();
    fs::write(place("in/file"), "in").unwrap();
    assert!(Command::new(place("in/true")).status().unwrap().success());
    let (early, go) = mpsc::channel();
    let early_thread = thread::spawn(move || {
        go.recv().unwrap();
        fs::read(place("out/file")).map(|bytes| bytes.len())
    });

    let enforced = restrict(&rules());
    let version = version(&enforced);
    assert!(enforced.no_new_privs && enforced.no_core_dumps);
    assert_eq!(enforced.missing, [""; 0].map(PathBuf::from));
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);

    try_files();
    thread::spawn(|| {
        try_files();
        thread::spawn(try_files).join().unwrap();
    })
    .join()
    .unwrap();
    early.send(()).unwrap();
    assert_eq!(early_thread.join().unwrap().unwrap(), 3, "a thread started before stays free");

    let across = fs::rename(place("change/below/file"), place("other/moved"));
    assert_eq!(across.is_ok(), version >= 2, "{across:?}");
}

#[test]
fn paths_of_rules() {
    run("inner_paths", None);
}

#[test]
#[ignore = "run by paths_of_rules"]
fn inner_paths() {
    symlink(place("in"), place("link")).unwrap();
    let enforced = restrict(&Rules {
        paths: vec![
            (place("link"), Access::Read),
            (place("out/file"), Access::Write),
            (place("other/file"), Access::Change),
            (place("absent\n"), Access::Read),
            (place("in/file/x"), Access::Read),
            ("/proc".into(), Access::Read),
        ],
        ..Rules::default()
    });
    assert!(matches!(enforced.landlock, Landlock::Full | Landlock::Part(_)));
    assert_eq!(enforced.missing, [place("absent\n")]);
    assert_eq!(enforced.problems.len(), 1);
    assert!(enforced.problems[0].contains("in/file/x"), "{enforced}");
    assert!(enforced.to_string().contains("absent\\n\" does not exist"), "{enforced}");

    fs::read(place("in/file")).unwrap();
    fs::read(place("link/file")).unwrap();
    // A terminal: may be written, not read, not replaced.
    drop(fs::OpenOptions::new().write(true).open(place("out/file")).unwrap());
    assert_denied(fs::read(place("out/file")));
    assert_denied(fs::remove_file(place("out/file")));
    fs::write(place("other/file"), "x").unwrap();
    assert_denied(fs::remove_file(place("other/file")));
    assert_denied(fs::read(place("change/file")));
}

#[test]
fn sockets_and_signals() {
    for inner in ["inner_sockets_denied", "inner_sockets_allowed"] {
        run(inner, None);
    }
}

/// An abstract socket and a process outside of the sandbox.
fn outside() -> (UnixDatagram, SocketAddr, std::process::Child) {
    let name = format!("narwarden-sandbox-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let receiver = UnixDatagram::bind_addr(&address).unwrap();
    let child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
    (receiver, address, child)
}

fn sockets(abstract_sockets: AbstractSockets) {
    let (_receiver, address, mut child) = outside();
    let pid = Pid::from_child(&child);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap();
    let (end, ended) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        // Started before: may still end the process that the others may not signal.
        let _ = ended.recv();
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let send = || UnixDatagram::unbound().unwrap().send_to_addr(b"x", &address);
    // The control.
    send().unwrap();
    test_kill_process(pid).unwrap();
    TcpStream::connect(tcp).unwrap();

    let enforced = restrict(&Rules { abstract_sockets, ..rules() });
    let version = version(&enforced);
    if version >= 4 {
        assert_denied(TcpStream::connect(tcp));
        assert_denied(TcpListener::bind("127.0.0.1:0"));
    }
    if version >= 6 {
        assert_denied(test_kill_process(pid).map_err(io::Error::from));
        match abstract_sockets {
            AbstractSockets::Deny => assert_denied(send()),
            AbstractSockets::Allow => assert_eq!(send().unwrap(), 1),
        }
    }
    drop(end);
    guard.join().unwrap();
}

#[test]
#[ignore = "run by sockets_and_signals"]
fn inner_sockets_denied() {
    sockets(AbstractSockets::Deny);
}

#[test]
#[ignore = "run by sockets_and_signals"]
fn inner_sockets_allowed() {
    sockets(AbstractSockets::Allow);
}

#[test]
fn capabilities_as_root() {
    if is_root("giving up capabilities") {
        run("inner_capabilities", None);
    }
}

#[test]
#[ignore = "run by capabilities_as_root"]
fn inner_capabilities() {
    let kept = [Capability::CAP_DAC_READ_SEARCH, Capability::CAP_SYS_PTRACE];
    // The control.
    chown(place("change/file"), Some(SOMEONE), None).unwrap();
    caps::raise(None, CapSet::Inheritable, Capability::CAP_CHOWN).unwrap();
    caps::raise(None, CapSet::Ambient, Capability::CAP_CHOWN).unwrap();
    let early = thread::spawn(|| {
        thread::park();
        chown(place("change/file"), Some(0), None)
    });

    let mut rules = Rules { capabilities: kept.to_vec(), ..rules() };
    rules.paths.push(("/".into(), Access::Run));
    let enforced = restrict(&rules);
    version(&enforced);
    assert_eq!(enforced.capabilities.as_deref(), Some(&kept[..]));
    let check = move || {
        for set in [CapSet::Effective, CapSet::Permitted, CapSet::Bounding] {
            let held = caps::read(None, set).unwrap();
            assert_eq!(held, kept.into_iter().collect(), "{set:?}");
        }
        for set in [CapSet::Ambient, CapSet::Inheritable] {
            assert_eq!(caps::read(None, set).unwrap().len(), 0, "{set:?}");
        }
        assert_denied(chown(place("change/file"), Some(SOMEONE), None));
        caps::raise(None, CapSet::Permitted, Capability::CAP_CHOWN).unwrap_err();
    };
    check();
    thread::spawn(check).join().unwrap();
    let status = Command::new("cat").arg("/proc/self/status").output().unwrap().stdout;
    let status = String::from_utf8(status).unwrap();
    // What is kept for root, 2 and 19, passes execve(2); nothing else comes back.
    for line in ["CapPrm:\t0000000000080004", "CapEff:\t0000000000080004", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{status}");
    }
    early.thread().unpark();
    early.join().unwrap().expect("a thread started before keeps its capabilities");

    // Nothing is gained by asking for more.
    rules.capabilities.push(Capability::CAP_CHOWN);
    let again = restrict(&rules);
    assert_eq!(again.capabilities.as_deref(), Some(&kept[..]));
    assert_eq!(again.problems, [""; 0], "without CAP_SETPCAP the bounding set is left alone");
}

#[test]
fn without_capabilities_from_the_beginning() {
    run("inner_no_capabilities", is_root("another user").then_some(SOMEONE));
}

#[test]
#[ignore = "run by without_capabilities_from_the_beginning"]
fn inner_no_capabilities() {
    let enforced = restrict(&Rules { capabilities: vec![Capability::CAP_SYS_ADMIN], ..rules() });
    version(&enforced);
    assert_eq!(enforced.capabilities.as_deref(), Some(&[][..]));
    assert!(enforced.no_new_privs && enforced.no_core_dumps);
}

#[test]
fn more_calls_than_the_kernel_takes() {
    run("inner_many_calls", None);
}

#[test]
#[ignore = "run by more_calls_than_the_kernel_takes"]
fn inner_many_calls() {
    let outcomes: Vec<_> = (0..20).map(|_| restrict(&rules())).collect();
    assert!(outcomes[0].problems.is_empty());
    let last = &outcomes[19];
    assert_eq!(last.landlock, Landlock::Nothing);
    assert!(last.to_string().contains("16 calls before this one are in force"), "{last}");
    try_files();
}

/// Why the thread that answers has to be started before the others are restricted.
#[test]
fn a_restricted_thread_cannot_answer_for_the_host() {
    if is_root("fanotify in a sandbox") {
        run("inner_restricted_reader", None);
    }
}

#[test]
#[ignore = "run by a_restricted_thread_cannot_answer_for_the_host"]
fn inner_restricted_reader() {
    let flags = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC;
    let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC).unwrap();
    let root = File::open("/").unwrap();
    for path in [place("in/file"), place("out/file")] {
        let add = MarkFlags::FAN_MARK_ADD;
        group.mark(add, MaskFlags::FAN_OPEN_PERM, &root, Some(&path)).unwrap();
    }
    let allow_next = |group: &Fanotify| -> nix::Result<()> {
        for event in group.read_events()? {
            let response = FanotifyResponse::new(event.fd().unwrap(), Response::FAN_ALLOW);
            group.write_response(response)?;
        }
        Ok(())
    };
    let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
    let program = format!("/proc/{}/exe", child.id());

    let (open, opened) = mpsc::channel::<PathBuf>();
    let opener = thread::spawn(move || opened.iter().map(File::open).collect::<Vec<_>>());
    let (answer, answered) = mpsc::channel::<Fanotify>();
    let free = thread::spawn({
        let program = program.clone();
        move || {
            let group = answered.recv().unwrap();
            allow_next(&group).unwrap();
            fs::metadata(program).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });

    fs::metadata(&program).unwrap();
    version(&restrict(&Rules { capabilities: caps::all().into_iter().collect(), ..rules() }));

    open.send(place("in/file")).unwrap();
    allow_next(&group).unwrap();
    // The event cannot be opened for a reader that must not read the file; the opener is denied.
    open.send(place("out/file")).unwrap();
    assert_eq!(allow_next(&group), Err(nix::errno::Errno::EACCES));
    assert_eq!(fs::metadata(&program).unwrap_err().kind(), ErrorKind::PermissionDenied);

    open.send(place("out/file")).unwrap();
    answer.send(group).unwrap();
    free.join().unwrap();
    drop(open);
    let results: Vec<_> = opener.join().unwrap().iter().map(Result::is_ok).collect();
    assert_eq!(results, [true, false, true]);
}
