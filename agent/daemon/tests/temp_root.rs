//! Temporary roots, next to something that does what Nix's garbage collector does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the workplace")]

mod workplace;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use narwarden_core::store_path::StorePath;
use narwardend::places::Places;
use narwardend::temp_root::{TempRoot, TempRootError};
use rustix::fs::{FlockOperation, flock};
use workplace::Workplace;

const WAIT: Duration = Duration::from_secs(5);

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// `findTempRoots`: what is held, after removing what nobody holds any more.
fn find_temp_roots(places: &Places) -> BTreeSet<String> {
    let mut roots = BTreeSet::new();
    let Ok(entries) = fs::read_dir(places.temp_roots()) else { return roots };
    for entry in entries {
        let path = entry.unwrap().path();
        // std::stoi, and a name that does not begin with an int ends the collection.
        path.file_name().unwrap().to_str().unwrap().parse::<i32>().unwrap();
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(&path);
            file.write_all(b"d").unwrap();
            continue;
        }
        let mut contents = String::new();
        file.read_to_string(&mut contents).unwrap();
        assert!(contents.is_empty() || contents.ends_with('\0'), "{contents:?}");
        roots.extend(contents.split_terminator('\0').map(str::to_owned));
    }
    roots
}

fn texts(paths: &[StorePath]) -> BTreeSet<String> {
    paths.iter().map(ToString::to_string).collect()
}

#[test]
fn held_paths_are_roots_until_dropped() {
    let place = Workplace::new();
    let paths = ["a", "b", "c"].map(|name| place.path(name));
    assert_eq!(find_temp_roots(&place.places), BTreeSet::new());
    let one = TempRoot::hold(&place.places, &paths[..2], WAIT).unwrap();
    let other = TempRoot::hold(&place.places, &paths[1..], WAIT).unwrap();
    assert_eq!(find_temp_roots(&place.places), texts(&paths));
    drop(one);
    assert_eq!(find_temp_roots(&place.places), texts(&paths[1..]));
    drop(other);
    assert_eq!(fs::read_dir(place.places.temp_roots()).unwrap().count(), 0);
}

#[test]
fn a_file_that_was_left_behind_holds_nothing() {
    let place = Workplace::new();
    let [left, path] = ["left-behind-by-somebody", "path"].map(|name| place.path(name));
    let root = TempRoot::hold(&place.places, &[left], WAIT).unwrap();
    let name = fs::read_dir(place.places.temp_roots()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read(&name).unwrap();
    drop(root);
    // As after SIGKILL, under every name there is: the files are there, nobody has them locked.
    let number: u32 = name.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let process = number % (1 << 22);
    for count in 1..512_u32 {
        let name = place.places.temp_roots().join((count * (1 << 22) + process).to_string());
        fs::write(name, &text).unwrap();
    }
    let _root = TempRoot::hold(&place.places, std::slice::from_ref(&path), WAIT).unwrap();
    assert_eq!(find_temp_roots(&place.places), texts(&[path]));
}

#[test]
fn a_path_that_is_gone_is_said_to_be() {
    let place = Workplace::new();
    let gone = place.absent("gone");
    let error = TempRoot::hold(&place.places, std::slice::from_ref(&gone), WAIT).unwrap_err();
    assert!(matches!(error, TempRootError::Gone(path) if path == gone));
    assert_eq!(find_temp_roots(&place.places), BTreeSet::new());
}

#[test]
fn a_collector_that_runs_is_told() {
    let place = Workplace::new();
    let path = place.path("nixos-system");
    let lock = open(&place.places.gc_lock());
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let socket = place.places.gc_socket();
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    std::thread::scope(|scope| {
        let told = scope.spawn(|| {
            // It begins to listen late, and leaves the first one who asks without an answer.
            std::thread::sleep(Duration::from_millis(100));
            let listener = UnixListener::bind(&socket).unwrap();
            drop(listener.accept().unwrap());
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            assert_eq!(find_temp_roots(&place.places), BTreeSet::new(), "not before the answer");
            stream.write_all(b"1").unwrap();
            line
        });
        let _root = TempRoot::hold(&place.places, std::slice::from_ref(&path), WAIT).unwrap();
        assert_eq!(told.join().unwrap(), format!("{path}\n"));
        assert_eq!(find_temp_roots(&place.places), texts(std::slice::from_ref(&path)));
    });
}

#[test]
fn a_collector_that_ends_is_waited_for() {
    let place = Workplace::new();
    let path = place.path("nixos-system");
    let lock = open(&place.places.gc_lock());
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            drop(lock);
        });
        let _root = TempRoot::hold(&place.places, std::slice::from_ref(&path), WAIT).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(200));
    });
}

#[test]
fn a_collector_that_does_not_answer_is_not_waited_for_long() {
    let place = Workplace::new();
    let path = place.path("nixos-system");
    let lock = open(&place.places.gc_lock());
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let hold = || {
        // The lock is never let go: that it comes back at all is the point.
        let wait = Duration::from_millis(200);
        let error = TempRoot::hold(&place.places, std::slice::from_ref(&path), wait).unwrap_err();
        assert_eq!(find_temp_roots(&place.places), BTreeSet::new());
        error
    };
    // No socket; one that nobody listens to; one where nobody answers; one that is full; one that answers rubbish.
    assert!(matches!(hold(), TempRootError::Busy { .. }));
    let socket = place.places.gc_socket();
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    assert!(matches!(hold(), TempRootError::Busy { .. }));
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    assert!(matches!(hold(), TempRootError::Busy { .. }));
    rustix::net::listen(&listener, 0).unwrap();
    let _queued: Vec<_> = (0..3).map_while(|_| nonblocking(&socket)).collect();
    assert!(matches!(hold(), TempRootError::Busy { .. }));
    drop(listener);
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| listener.accept().unwrap().0.write_all(b"no").unwrap());
        assert!(matches!(hold(), TempRootError::Io { operation: "understand", .. }));
    });
}

fn nonblocking(socket: &Path) -> Option<rustix::fd::OwnedFd> {
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    };
    let fd =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    connect(&fd, &SocketAddrUnix::new(socket).unwrap()).is_ok().then_some(fd)
}

#[test]
fn collections_all_the_time_take_nothing_that_is_held() {
    let place = Workplace::new();
    let paths: Vec<_> = (0..4).map(|number| place.path(&format!("path-{number}"))).collect();
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            for _ in 0..300 {
                // A collection without a socket: whoever comes meanwhile tries again.
                let lock = open(&place.places.gc_lock());
                flock(&lock, FlockOperation::LockExclusive).unwrap();
                find_temp_roots(&place.places);
                drop(lock);
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let mut count = 0;
        while !collector.is_finished() {
            let root = TempRoot::hold(&place.places, &paths, WAIT).unwrap();
            assert!(find_temp_roots(&place.places).is_superset(&texts(&paths)));
            drop(root);
            count += 1;
        }
        assert!(count > 10, "{count}");
    });
}

#[test]
fn a_file_that_is_taken_for_a_stale_one_is_made_again() {
    let place = Workplace::new();
    let path = place.path("path");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _at_the_end = SetOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                find_temp_roots(&place.places);
            }
        });
        for _ in 0..3000 {
            let root = TempRoot::hold(&place.places, std::slice::from_ref(&path), WAIT).unwrap();
            assert_eq!(find_temp_roots(&place.places).len(), 1);
            drop(root);
        }
    });
}

/// Lets the other thread end even where an assertion fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn there_is_an_end_to_how_many_are_held() {
    let place = Workplace::new();
    let path = place.path("path");
    let hold = || TempRoot::hold(&place.places, std::slice::from_ref(&path), WAIT);
    let held: Vec<_> = (0..511).map(|_| hold().unwrap()).collect();
    assert!(matches!(hold(), Err(TempRootError::TooMany { .. })));
    assert_eq!(find_temp_roots(&place.places).len(), 1);
    drop(held);
    drop(hold().unwrap());
}
