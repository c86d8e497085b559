//! Trees that change while they are walked. The walk is pulled, so each change happens at exactly
//! the step named in the table; the control makes no change there.

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

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use narwarden_linux::tree::{Attributes, Event, Limits, StoreDirectory, Walk, WalkError};
use rustix::fs::{CWD, Mode, XattrFlags, mkfifoat, setxattr};
use support::{Seen, walk_with};

/// Waits until the clock of the file system has gone on, so that a change time can tell the change from the making.
fn tick() {
    let now = || tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
    let before = now();
    while now() == before {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn make(store: &Path) {
    let root = store.join("root");
    fs::create_dir_all(root.join("directory")).unwrap();
    fs::write(root.join("directory/inner"), "inner").unwrap();
    fs::write(root.join("file"), vec![1; 3000]).unwrap();
    symlink("file", root.join("link")).unwrap();
}

/// `Kind path` of an event, as the tables name it.
fn moment(path: &[u8], event: &Event<'_>) -> String {
    let kind = match event {
        Event::Directory { .. } => "Directory",
        Event::Entry { .. } => "Entry",
        Event::EntryEnd => "EntryEnd",
        Event::DirectoryEnd => "DirectoryEnd",
        Event::File { .. } => "File",
        Event::Contents(_) => "Contents",
        Event::FileEnd => "FileEnd",
        Event::Symlink { .. } => "Symlink",
    };
    format!("{kind} {}", path.escape_ascii())
}

/// Walks a new tree, and calls `change` with its root once, right after the event `when`.
fn walk_changing(when: &str, change: impl FnOnce(&Path)) -> Result<Vec<Seen>, WalkError> {
    let store = tempfile::tempdir().unwrap();
    make(store.path());
    let mut change = Some(change);
    let result = walk_with(store.path(), b"root", Limits::default(), 1024, |path, event| {
        if moment(path, event) == when
            && let Some(change) = change.take()
        {
            tick();
            change(&store.path().join("root"));
        }
    });
    assert!(change.is_none(), "{when} never came");
    result
}

fn write_at(path: &Path, bytes: &[u8], offset: u64) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

fn replace(path: &Path, with: impl FnOnce(&Path)) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    with(path);
}

type Change = fn(&Path);

/// What, right after which event, the change, and the path refused as changed.
const CHANGES: &[(&str, &str, Change, &str)] = &[
    ("append", "File file", |r| append(&r.join("file")), "file"),
    ("append at the end", "Contents file", |r| append(&r.join("file")), "file"),
    ("truncate", "File file", |r| truncate(&r.join("file"), 0), "file"),
    ("truncate midway", "Contents file", |r| truncate(&r.join("file"), 2000), "file"),
    ("truncate behind", "Contents file", |r| truncate(&r.join("file"), 1024), "file"),
    ("rewrite what was read", "Contents file", |r| write_at(&r.join("file"), &[2], 0), "file"),
    ("rewrite what comes", "Contents file", |r| write_at(&r.join("file"), &[2], 2999), "file"),
    ("rewrite, mtime put back", "Contents file", |r| rewrite_backdated(&r.join("file")), "file"),
    ("chmod", "Contents file", |r| chmod(&r.join("file"), 0o4755), "file"),
    ("rename over", "Contents file", |r| rename_over(&r.join("file")), "file"),
    ("remove open file", "Contents file", |r| fs::remove_file(r.join("file")).unwrap(), "file"),
    ("hard link", "Contents file", |r| fs::hard_link(r.join("file"), r.join("z")).unwrap(), "file"),
    ("set attribute", "Contents file", |r| set_attribute(&r.join("file")), "file"),
    ("remove", "Entry file", |r| fs::remove_file(r.join("file")).unwrap(), "file"),
    ("file to link", "Entry file", |r| replace(&r.join("file"), link_to_passwd), "file"),
    ("file to FIFO", "Entry file", |r| replace(&r.join("file"), fifo), "file"),
    ("file to socket", "Entry file", |r| replace(&r.join("file"), socket), "file"),
    ("file to directory", "Entry file", |r| replace(&r.join("file"), directory), "file"),
    ("link to file", "Entry link", |r| replace(&r.join("link"), file), "link"),
    ("link to directory", "Entry link", |r| replace(&r.join("link"), directory), "link"),
    ("other link", "Symlink link", |r| replace(&r.join("link"), link_to_passwd), ""),
    ("same link again", "Symlink link", |r| replace(&r.join("link"), link_to_file), ""),
    (
        "directory to link",
        "Entry directory",
        |r| replace(&r.join("directory"), link_to_etc),
        "directory",
    ),
    ("directory to file", "Entry directory", |r| replace(&r.join("directory"), file), "directory"),
    ("add entry, root", "Directory ", |r| file(&r.join("added")), ""),
    ("add entry, last moment", "EntryEnd link", |r| file(&r.join("added")), ""),
    ("add and remove entry", "Entry file", |r| add_and_remove(&r.join("added")), ""),
    ("add entry below", "Entry directory/inner", |r| file(&r.join("directory/added")), "directory"),
    (
        "remove entry below",
        "Directory directory",
        |r| fs::remove_file(r.join("directory/inner")).unwrap(),
        "directory/inner",
    ),
    (
        "rename directory",
        "Directory directory",
        |r| fs::rename(r.join("directory"), r.join("moved")).unwrap(),
        "directory",
    ),
    (
        "chmod directory",
        "FileEnd directory/inner",
        |r| chmod(&r.join("directory"), 0o777),
        "directory",
    ),
    ("remove walked file", "FileEnd file", |r| fs::remove_file(r.join("file")).unwrap(), ""),
    ("swap root", "Entry file", swap_root, ""),
    ("swap root at the end", "DirectoryEnd ", swap_root, ""),
    ("remove root at the end", "DirectoryEnd ", |r| fs::remove_dir_all(r).unwrap(), ""),
    ("root to link at the end", "DirectoryEnd ", |r| replace(r, link_to_etc), ""),
    ("chmod root at the end", "DirectoryEnd ", |r| chmod(r, 0o700), ""),
];

fn append(path: &Path) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
}
fn truncate(path: &Path, size: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(size).unwrap();
}
fn rewrite_backdated(path: &Path) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    write_at(path, &[2], 0);
    OpenOptions::new().write(true).open(path).unwrap().set_modified(before).unwrap();
}
fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
fn rename_over(path: &Path) {
    let other = path.with_extension("new");
    fs::write(&other, vec![1; 3000]).unwrap();
    fs::rename(other, path).unwrap();
}
fn set_attribute(path: &Path) {
    setxattr(path, "user.note", b"x", XattrFlags::CREATE).unwrap();
}
fn add_and_remove(path: &Path) {
    file(path);
    fs::remove_file(path).unwrap();
}
fn swap_root(root: &Path) {
    let store = root.parent().unwrap();
    fs::rename(root, store.join("old")).unwrap();
    make(store);
}
fn file(path: &Path) {
    fs::write(path, vec![1; 3000]).unwrap();
}
fn directory(path: &Path) {
    fs::create_dir(path).unwrap();
}
fn fifo(path: &Path) {
    mkfifoat(CWD, path, Mode::RWXU).unwrap();
}
fn socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}
fn link_to_file(path: &Path) {
    symlink("file", path).unwrap();
}
fn link_to_passwd(path: &Path) {
    symlink("/etc/passwd", path).unwrap();
}
fn link_to_etc(path: &Path) {
    symlink("/etc", path).unwrap();
}

#[test]
fn every_change_is_seen() {
    for (what, when, change, path) in CHANGES {
        let result = walk_changing(when, change);
        assert_eq!(result, Err(WalkError::Changed { path: (*path).into() }), "{what}");
        let control = walk_changing(when, |_| {});
        assert!(control.is_ok(), "{what}, control: {control:?}");
    }
}

#[test]
fn a_growing_file_gives_no_more_than_its_size() {
    let store = tempfile::tempdir().unwrap();
    make(store.path());
    let file = store.path().join("root/file");
    let mut given = 0;
    let limits = Limits::default();
    let result = walk_with(store.path(), b"root", limits, 65_536, |path, event| match event {
        Event::File { .. } if path == b"file" => append(&file),
        Event::Contents(length) if path == b"file" => given += length,
        Event::Directory { .. }
        | Event::DirectoryEnd
        | Event::Entry { .. }
        | Event::EntryEnd
        | Event::File { .. }
        | Event::Contents(_)
        | Event::FileEnd
        | Event::Symlink { .. } => {}
    });
    assert_eq!(result, Err(WalkError::Changed { path: b"file".into() }));
    assert_eq!(given, 3000);
}

#[test]
fn what_is_no_change_is_not_called_one() {
    let harmless: [(&str, &str, Change); 4] = [
        ("read", "File file", |r| drop(fs::read(r.join("file")).unwrap())),
        ("list", "Directory ", |r| fs::read_dir(r).unwrap().for_each(drop)),
        ("add beside the root", "Directory ", |r| file(&r.with_file_name("other"))),
        // Not a change of what was given out: the file was complete by then.
        ("write after its end", "FileEnd file", |r| append(&r.join("file"))),
    ];
    for (what, when, change) in harmless {
        assert!(walk_changing(when, change).is_ok(), "{what}");
    }
}

#[test]
fn a_root_of_any_kind_swapped_at_any_time() {
    let kinds: [fn(&Path); 3] = [file, directory, link_to_etc];
    for make in kinds {
        for swap_after in 0..4 {
            let store = tempfile::tempdir().unwrap();
            let root = store.path().join("root");
            make(&root);
            let held = StoreDirectory::open(store.path()).unwrap();
            let mut walk = Walk::open(&held, b"root", Limits::default(), Attributes::Skip).unwrap();
            let mut buffer = [0; 4096];
            let mut ended = false;
            for _ in 0..swap_after {
                ended |= walk.next(&mut buffer).unwrap().is_none();
            }
            if ended {
                continue;
            }
            tick();
            fs::rename(&root, store.path().join("old")).unwrap();
            make(&root);
            let mut steps = 0;
            let error = loop {
                steps += 1;
                match walk.next(&mut buffer) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("swapped after {swap_after} steps and not seen"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error, WalkError::Changed { path: vec![] });
            assert!(swap_after > 0 || steps == 1, "nothing of another root is given out");
        }
    }
}

#[test]
fn a_store_directory_moved_away_is_still_the_one_walked() {
    let outer = tempfile::tempdir().unwrap();
    let (store, moved) = (outer.path().join("store"), outer.path().join("moved"));
    make(&store);
    let held = StoreDirectory::open(&store).unwrap();
    fs::rename(&store, &moved).unwrap();
    fs::create_dir(&store).unwrap();
    fs::write(store.join("root"), "evil").unwrap();
    fs::set_permissions(&moved, Permissions::from_mode(0o755)).unwrap();
    let mut walk = Walk::open(&held, b"root", Limits::default(), Attributes::Skip).unwrap();
    assert!(matches!(walk.next(&mut [0; 64]), Ok(Some(Event::Directory { .. }))));
}

#[test]
fn what_is_written_after_a_tick_is_later() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let before = file.as_file().metadata().unwrap().modified().unwrap();
    tick();
    file.as_file().write_all_at(b"x", 0).unwrap();
    let after = file.as_file().metadata().unwrap().modified().unwrap();
    assert!(before < after);
}
