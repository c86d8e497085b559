//! What a walk tells about modes, owners and attributes, and that it leaves access times alone.

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

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, setxattr, utimensat};
use support::{Seen, is_root, walk};

#[test]
fn metadata_tells_modes_owners_and_attributes() {
    let store = tempfile::tempdir().unwrap();
    let root = store.path().join("root");
    fs::create_dir(&root).unwrap();
    for (name, mode) in [("a", 0o4755), ("b", 0o2755), ("c", 0o666), ("d", 0o555)] {
        fs::write(root.join(name), "").unwrap();
        fs::set_permissions(root.join(name), Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(&root, Permissions::from_mode(0o1777)).unwrap();
    fs::hard_link(root.join("d"), store.path().join("outside")).unwrap();
    setxattr(root.join("c"), "user.one", b"1", XattrFlags::CREATE).unwrap();
    setxattr(root.join("c"), "user.two", b"2", XattrFlags::CREATE).unwrap();
    setxattr(&root, "user.top", b"3", XattrFlags::CREATE).unwrap();
    let mut expected = vec![
        (0o1777, vec!["user.top"]),
        (0o4755, vec![]),
        (0o2755, vec![]),
        (0o666, vec!["user.one", "user.two"]),
        (0o555, vec![]),
    ];
    if is_root("file capabilities") {
        // CAP_SYS_ADMIN, permitted and effective; struct vfs_cap_data of capabilities(7).
        let capability = [1, 0, 0, 2, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let flags = XattrFlags::CREATE;
        setxattr(root.join("b"), "security.capability", &capability, flags).unwrap();
        expected[2].1 = vec!["security.capability"];
    }
    let seen = walk(store.path(), b"root").unwrap();
    let objects: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Directory(metadata, names) | Seen::File(metadata, names) => {
                let mut names: Vec<&str> =
                    names.iter().map(|name| std::str::from_utf8(name).unwrap()).collect();
                names.retain(|name| *name != "security.selinux");
                names.sort_unstable();
                Some((metadata, names))
            }
            Seen::Entry(_)
            | Seen::EntryEnd
            | Seen::DirectoryEnd
            | Seen::Contents(_)
            | Seen::FileEnd
            | Seen::Symlink(..) => None,
        })
        .collect();
    let told: Vec<_> =
        objects.iter().map(|(metadata, names)| (metadata.mode, names.clone())).collect();
    assert_eq!(told, expected);
    assert_eq!(objects[4].0.links, 2);
    assert_eq!(objects[4].0.inode, fs::metadata(root.join("d")).unwrap().ino());
    assert!(objects.iter().all(|(metadata, _)| metadata.mount == objects[0].0.mount));
}

#[test]
fn access_times_stay() {
    let store = tempfile::tempdir().unwrap();
    let root = store.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "contents").unwrap();
    let long_ago = Timespec { tv_sec: 1, tv_nsec: 0 };
    for path in [root.join("file"), root.clone()] {
        let times = Timestamps { last_access: long_ago, last_modification: long_ago };
        utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
    }
    walk(store.path(), b"root").unwrap();
    assert_eq!(fs::metadata(root.join("file")).unwrap().atime(), 1);
    assert_eq!(fs::metadata(&root).unwrap().atime(), 1);
}
