//! D10: what no hash covers. Owners, capabilities and access lists of others are in `root`.

use super::support::{assert_admitted, assert_denied, by_bytes, by_policy, good};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Forge, canonicalise};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, setxattr, utimensat};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(super) const IGNORE: &str =
    "[require]\ndefault = \"ci\"\ntoplevel = \"both\"\nmetadata = \"ignore\"\n";
const REPORT: &str = "[require]\ndefault = \"ci\"\ntoplevel = \"both\"\nmetadata = \"report\"\n";

/// Denied for metadata alone, named so; admitted where metadata is not looked at, and with as many notes
/// where it is only reported.
#[track_caller]
pub(super) fn assert_drift(forge: &Forge, toplevel: &StorePath, path: &StorePath, detail: &str) {
    let found = by_bytes(forge, toplevel);
    assert_denied(&found, &[&format!("{} metadata-drift", path.name())]);
    assert!(found.details.iter().any(|it| it.contains(detail)), "{detail}: {found:#?}");
    assert_admitted(&by_policy(forge, toplevel, IGNORE));
    let noted = by_policy(forge, toplevel, REPORT);
    assert_admitted(&noted);
    assert_eq!(noted.notes, found.denials);
}

fn set_mtime(at: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[test]
fn d10_modes_of_files_directories_and_single_files() {
    let (_workshop, forge, generation) = good();
    for (path, inside, mode, detail) in [
        (&generation.bash, "bin/bash", 0o4555, "bin/bash is setuid (4555)"),
        (&generation.bash, "bin/bash", 0o2555, "bin/bash is setgid (2555)"),
        (&generation.bash, "bin/bash", 0o1555, "bin/bash is sticky (1555)"),
        (&generation.bash, "bin/bash", 0o755, "bin/bash has mode 0755"),
        (&generation.bash, "bin/bash", 0o557, "bin/bash has mode 0557"),
        (&generation.glibc, "lib/libm.so.6", 0o644, "lib/libm.so.6 has mode 0644"),
        (&generation.glibc, "lib/libm.so.6", 0o446, "lib/libm.so.6 has mode 0446"),
        (&generation.glibc, "lib/libm.so.6", 0o4444, "lib/libm.so.6 is setuid (4444)"),
        // Others may run it; the NAR knows the owner's bit only.
        (&generation.glibc, "lib/libm.so.6", 0o455, "lib/libm.so.6 has mode 0455"),
        (&generation.bash, "bin", 0o755, "bin has mode 0755"),
        (&generation.bash, "bin", 0o1777, "bin is sticky (1777)"),
        (&generation.bash, "bin", 0o2555, "bin is setgid (2555)"),
        (&generation.bash, "", 0o557, "it has mode 0557"),
        (&generation.toplevel, "", 0o755, "it has mode 0755"),
        (&generation.text, "", 0o644, "it has mode 0644"),
        (&generation.text, "", 0o6444, "it is setuid and setgid (6444)"),
        (&generation.glibc, "share/doc", 0o777, "share/doc has mode 0777"),
    ] {
        let at = forge.file(path, inside);
        fs::set_permissions(&at, Permissions::from_mode(mode)).unwrap();
        assert_drift(&forge, &generation.toplevel, path, detail);
        canonicalise(&at).unwrap();
        assert_admitted(&by_bytes(&forge, &generation.toplevel));
    }
}

#[test]
fn d10_times_of_everything() {
    let (_workshop, forge, generation) = good();
    for (path, inside) in [
        (&generation.bash, "bin/bash"),
        (&generation.bash, "bin/sh"),
        (&generation.bash, "bin"),
        (&generation.bash, ""),
        (&generation.text, ""),
        (&generation.toplevel, "systemd"),
    ] {
        let at = forge.file(path, inside);
        for seconds in [0, 2, -1, 1_790_000_000] {
            set_mtime(&at, seconds);
            let detail = format!("was modified at {seconds} instead of 1");
            assert_drift(&forge, &generation.toplevel, path, &detail);
        }
        set_mtime(&at, 1);
        assert_admitted(&by_bytes(&forge, &generation.toplevel));
    }
}

#[test]
fn d10_attributes_are_named() {
    let (_workshop, forge, generation) = good();
    let at = forge.file(&generation.bash, "bin/bash");
    fs::set_permissions(&at, Permissions::from_mode(0o755)).unwrap();
    let set = setxattr(&at, "user.note\u{1b}[2J", b"x", XattrFlags::empty());
    canonicalise(&at).unwrap();
    if let Err(error) = set {
        eprintln!("SKIPPED, the file system takes no user attributes: {error}");
        return;
    }
    let detail = "bin/bash has the extended attribute user.note\\x1b[2J";
    assert_drift(&forge, &generation.toplevel, &generation.bash, detail);
}

#[test]
fn d10_access_lists_are_named() {
    // Version 2; user::r-x, user:1:rwx, group::r-x, mask::rwx, other::r-x (acl_ea.h).
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let nobody = u32::MAX;
    let list = [
        2_u32.to_le_bytes().to_vec(),
        entry(0x01, 5, nobody),
        entry(0x02, 7, 1),
        entry(0x04, 5, nobody),
        entry(0x10, 5, nobody),
        entry(0x20, 5, nobody),
    ]
    .concat();
    let (_workshop, forge, generation) = good();
    let at = forge.file(&generation.bash, "bin/bash");
    if let Err(error) = setxattr(&at, "system.posix_acl_access", &list, XattrFlags::empty()) {
        eprintln!("SKIPPED, the file system takes no access lists: {error}");
        return;
    }
    let detail = "bin/bash has the extended attribute system.posix_acl_access";
    assert_drift(&forge, &generation.toplevel, &generation.bash, detail);
}

#[test]
fn d10_many_deviations_take_bounded_room() {
    let (_workshop, mut forge, generation) = good();
    let names = (0..500).map(|number| (format!("{number}"), narwarden_forge::Tree::file("x")));
    let tree = narwarden_forge::Tree::directory(names);
    let path = forge.add("many", &tree, narwarden_forge::Addressing::Input, &[]).unwrap();
    forge.sign(&path, &[&narwarden_forge::ci()]).unwrap();
    let toplevel = forge.toplevel_with(&generation, &[&path]).unwrap();
    assert_admitted(&by_bytes(&forge, &toplevel));
    for number in 0..500 {
        set_mtime(&forge.file(&path, &number.to_string()), 7);
    }
    let found = by_bytes(&forge, &toplevel);
    assert_denied(&found, &["many metadata-drift"]);
    assert_eq!(found.denials.len(), 9);
    assert!(found.details.iter().any(|it| it.contains("and 492 more of the kind")), "{found:#?}");
}
