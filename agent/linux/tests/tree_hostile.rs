//! Trees made to make a walk hang, follow, overflow or miss something. Every attack has a control:
//! the same tree without the attack is walked to its end.

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

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use narwarden_linux::metadata::FileKind;
use narwarden_linux::tree::{Limits, WalkError};
use rustix::fs::{CWD, FileType, Mode, mkfifoat, mknodat};
use support::{Seen, is_root, walk, walk_with, within_time};

struct Attack {
    what: &'static str,
    /// Makes `root` in the given directory, benign.
    control: fn(&Path),
    /// Makes `root` in the given directory, hostile.
    attack: fn(&Path),
    expected: Expected,
}

enum Expected {
    /// This error.
    Refused(WalkError),
    /// These events stand for what was walked (see [`outline`]).
    Walked(&'static [&'static str]),
}

/// Every event that says what was found, without metadata.
fn outline(seen: &[Seen]) -> Vec<String> {
    let line = |seen: &Seen| match seen {
        Seen::Directory(..) => Some("directory".to_owned()),
        Seen::Entry(name) => Some(format!("entry {}", name.escape_ascii())),
        Seen::File(metadata, _) => Some(format!("file {}", metadata.size)),
        Seen::Contents(bytes) => Some(format!("contents {}", bytes.len())),
        Seen::Symlink(_, target) => Some(format!("link {}", target.escape_ascii())),
        Seen::EntryEnd | Seen::DirectoryEnd | Seen::FileEnd => None,
    };
    seen.iter().filter_map(line).collect()
}

fn directory_with(store: &Path, make: impl FnOnce(&Path)) {
    fs::create_dir(store.join("root")).unwrap();
    fs::write(store.join("root/a"), "before").unwrap();
    make(&store.join("root/x"));
}

fn fifo(path: &Path) {
    mkfifoat(CWD, path, Mode::RWXU).unwrap();
}

fn unsupported(path: &str, kind: FileKind) -> Expected {
    Expected::Refused(WalkError::UnsupportedKind { path: path.into(), kind })
}

fn run(table: Vec<Attack>) {
    for Attack { what, control, attack, expected } in table {
        let store = tempfile::tempdir().unwrap();
        control(store.path());
        let path = store.path().to_owned();
        within_time(move || walk(&path, b"root"))
            .unwrap_or_else(|e| panic!("{what}, control: {e}"));

        let store = tempfile::tempdir().unwrap();
        attack(store.path());
        let path = store.path().to_owned();
        let result = within_time(move || walk(&path, b"root"));
        match expected {
            Expected::Refused(error) => assert_eq!(result, Err(error), "{what}"),
            Expected::Walked(lines) => assert_eq!(outline(&result.unwrap()), lines, "{what}"),
        }
    }
}

#[test]
fn links_are_read_and_never_followed() {
    run(vec![
        Attack {
            what: "root is a link to a copy",
            control: |s| fs::write(s.join("root"), "secret").unwrap(),
            attack: |s| {
                fs::write(s.join("copy"), "secret").unwrap();
                symlink("copy", s.join("root")).unwrap();
            },
            expected: Expected::Walked(&["link copy"]),
        },
        Attack {
            what: "root is a link to a directory outside",
            control: |s| fs::create_dir(s.join("root")).unwrap(),
            attack: |s| symlink("/etc", s.join("root")).unwrap(),
            expected: Expected::Walked(&["link /etc"]),
        },
        Attack {
            what: "link to a directory outside, with a slash",
            control: |s| directory_with(s, |x| fs::create_dir(x).unwrap()),
            attack: |s| directory_with(s, |x| symlink("/etc/", x).unwrap()),
            expected: Expected::Walked(&[
                "directory",
                "entry a",
                "file 6",
                "contents 6",
                "entry x",
                "link /etc/",
            ]),
        },
        Attack {
            what: "link to itself",
            control: |s| directory_with(s, |x| fs::write(x, "").unwrap()),
            attack: |s| directory_with(s, |x| symlink("x", x).unwrap()),
            expected: Expected::Walked(&[
                "directory",
                "entry a",
                "file 6",
                "contents 6",
                "entry x",
                "link x",
            ]),
        },
        Attack {
            what: "link through /proc",
            control: |s| directory_with(s, |x| fs::write(x, "").unwrap()),
            attack: |s| directory_with(s, |x| symlink("/proc/self/fd/0", x).unwrap()),
            expected: Expected::Walked(&[
                "directory",
                "entry a",
                "file 6",
                "contents 6",
                "entry x",
                "link /proc/self/fd/0",
            ]),
        },
    ]);
}

#[test]
fn nothing_but_files_directories_and_links() {
    let mut table = vec![
        Attack {
            what: "root is a FIFO",
            control: |s| fs::write(s.join("root"), "").unwrap(),
            attack: |s| fifo(&s.join("root")),
            expected: unsupported("", FileKind::Fifo),
        },
        Attack {
            what: "FIFO inside",
            control: |s| directory_with(s, |x| fs::write(x, "").unwrap()),
            attack: |s| directory_with(s, fifo),
            expected: unsupported("x", FileKind::Fifo),
        },
        Attack {
            what: "socket inside",
            control: |s| directory_with(s, |x| fs::write(x, "").unwrap()),
            attack: |s| directory_with(s, |x| drop(UnixListener::bind(x).unwrap())),
            expected: unsupported("x", FileKind::Socket),
        },
    ];
    if is_root("device nodes") {
        table.push(Attack {
            what: "character device inside",
            control: |s| directory_with(s, |x| fs::write(x, "").unwrap()),
            attack: |s| directory_with(s, |x| node(x, FileType::CharacterDevice, 1, 5)),
            expected: unsupported("x", FileKind::CharacterDevice),
        });
        table.push(Attack {
            what: "root is a block device",
            control: |s| fs::write(s.join("root"), "").unwrap(),
            attack: |s| node(&s.join("root"), FileType::BlockDevice, 7, 0),
            expected: unsupported("", FileKind::BlockDevice),
        });
    }
    run(table);
}

fn node(path: &Path, kind: FileType, major: u32, minor: u32) {
    mknodat(CWD, path, kind, Mode::RWXU, rustix::fs::makedev(major, minor)).unwrap();
}

#[test]
fn names_are_bytes_in_order_of_bytes() {
    let store = tempfile::tempdir().unwrap();
    let root = store.path().join("root");
    fs::create_dir(&root).unwrap();
    let long = [b'n'; 255];
    let names: [&[u8]; 14] = [
        b"\x01",
        b"\n",
        b" ",
        b"$(reboot)",
        b"-rf",
        b"...",
        b"A",
        b"\\",
        b"a",
        b"a-",
        b"a.b",
        b"a0",
        &long,
        b"\xff\xfe",
    ];
    for name in names.iter().rev() {
        fs::write(root.join(OsStr::from_bytes(name)), "").unwrap();
    }
    let seen = walk(store.path(), b"root").unwrap();
    let walked: Vec<&[u8]> = seen
        .iter()
        .filter_map(|seen| if let Seen::Entry(name) = seen { Some(name.as_slice()) } else { None })
        .collect();
    assert_eq!(walked, names);

    let bad = root.join(OsStr::from_bytes(b"\n\xff"));
    fifo(&bad);
    let error = walk(store.path(), b"root").unwrap_err();
    assert_eq!(error.path(), b"\n\xff");
    assert!(error.to_string().is_ascii() && !error.to_string().contains('\n'));
}

#[test]
fn only_a_single_name_is_walked() {
    let store = tempfile::tempdir().unwrap();
    fs::create_dir_all(store.path().join("root/x")).unwrap();
    for name in ["", ".", "..", "/", "root/", "root/x", "./root", "/etc", "root\0"] {
        let error = walk(store.path(), name.as_bytes()).unwrap_err();
        assert_eq!(error, WalkError::InvalidName { path: name.into() });
    }
    assert_eq!(walk(store.path(), b"root2"), Err(WalkError::Missing { path: vec![] }));
    assert!(walk(store.path(), b"root").is_ok());
    // Longer than a name may be: the file system's answer, not a cut-off name.
    assert!(matches!(walk(store.path(), &[b'r'; 256]), Err(WalkError::Io { .. })));
}

#[test]
fn depth_is_bounded() {
    for (levels, expected) in [(500, None), (512, None), (513, Some(512)), (600, Some(512))] {
        let store = tempfile::tempdir().unwrap();
        let mut path = PathBuf::from("root");
        path.extend(std::iter::repeat_n("d", levels - 1));
        fs::create_dir_all(store.path().join(&path)).unwrap();
        let result = walk(store.path(), b"root").err();
        let too_deep = |limit: usize| WalkError::TooDeep {
            path: ["d"].repeat(limit).join("/").into_bytes(),
            limit,
        };
        assert_eq!(result, expected.map(too_deep), "{levels}");
    }
    let store = tempfile::tempdir().unwrap();
    fs::write(store.path().join("root"), "").unwrap();
    let with_depth = |depth| {
        let limits = Limits { depth, ..Limits::default() };
        walk_with(store.path(), b"root", limits, 1, |_, _| {})
    };
    assert!(with_depth(1).is_ok());
    assert_eq!(with_depth(0), Err(WalkError::TooDeep { path: vec![], limit: 0 }));
}

#[test]
fn entries_of_one_directory_are_bounded() {
    let store = tempfile::tempdir().unwrap();
    for name in ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3", "c/1"] {
        fs::create_dir_all(store.path().join("root").join(name)).unwrap();
    }
    let limits = Limits { directory_entries: 3, ..Limits::default() };
    let walk = || walk_with(store.path(), b"root", limits, 1, |_, _| {});
    assert!(walk().is_ok(), "three in each directory, though more in all");
    fs::create_dir(store.path().join("root/b/4")).unwrap();
    assert_eq!(walk(), Err(WalkError::TooManyEntries { path: b"b".into(), limit: 3 }));
}

#[test]
fn sizes_at_the_edges() {
    let store = tempfile::tempdir().unwrap();
    let root = store.path().join("root");
    fs::create_dir(&root).unwrap();
    assert_eq!(outline(&walk(store.path(), b"root").unwrap()), ["directory"]);

    fs::write(root.join("empty"), "").unwrap();
    for size in [1, 65_535, 65_536, 65_537] {
        fs::write(root.join(format!("full{size:06}")), vec![7; size]).unwrap();
    }
    let target = "t".repeat(4095);
    symlink(&target, root.join("link")).unwrap();
    File::create(root.join("sparse")).unwrap().set_len(8 << 20).unwrap();
    let link = format!("link {target}");
    let expected = [
        "directory",
        "entry empty",
        "file 0",
        "entry full000001",
        "file 1",
        "contents 1",
        "entry full065535",
        "file 65535",
        "contents 65535",
        "entry full065536",
        "file 65536",
        "contents 65536",
        "entry full065537",
        "file 65537",
        "contents 65537",
        "entry link",
        &link,
        "entry sparse",
        "file 8388608",
        "contents 8388608",
    ];
    let seen = walk(store.path(), b"root").unwrap();
    assert_eq!(outline(&seen), expected);
    assert!(
        matches!(&seen[seen.len() - 4], Seen::Contents(zeros) if zeros.iter().all(|b| *b == 0))
    );
}

#[test]
fn an_empty_buffer_is_refused_not_taken_for_the_end() {
    let store = tempfile::tempdir().unwrap();
    fs::write(store.path().join("root"), "x").unwrap();
    let result = walk_with(store.path(), b"root", Limits::default(), 0, |_, _| {});
    assert_eq!(result, Err(WalkError::Changed { path: vec![] }));
}
