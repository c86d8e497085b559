//! D01, D11: trees that are not what was signed, or that no NAR can hold.

use super::support::{assert_admitted, assert_denied, by_bytes, good};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Forge, Generation, Tree, ci};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Adds a signed path, and a signed toplevel that refers to it.
fn with(forge: &mut Forge, generation: &Generation, tree: &Tree) -> (StorePath, StorePath) {
    let path = forge.add("part", tree, Addressing::Input, &[]).unwrap();
    forge.sign(&path, &[&ci()]).unwrap();
    let toplevel = forge.toplevel_with(generation, &[&path]).unwrap();
    (path, toplevel)
}

#[test]
fn d01_any_change_to_a_tree_is_drift() {
    type Change = fn(&Path) -> std::io::Result<()>;
    let changes: [Change; 14] = [
        |at| fs::write(at.join("file"), "changed!"),
        |at| fs::write(at.join("file"), "contents and more"),
        |at| fs::write(at.join("file"), ""),
        |at| fs::write(at.join("new"), ""),
        |at| fs::create_dir(at.join("new")),
        |at| symlink("x", at.join(".hidden")),
        |at| fs::remove_file(at.join("file")),
        |at| fs::remove_dir(at.join("empty")),
        |at| fs::rename(at.join("file"), at.join("File")),
        |at| fs::rename(at.join("empty"), at.join("d/empty")),
        |at| {
            fs::remove_file(at.join("link"))?;
            symlink("file/", at.join("link"))
        },
        |at| {
            fs::remove_file(at.join("link"))?;
            fs::copy(at.join("file"), at.join("link")).map(drop)
        },
        |at| {
            fs::remove_dir(at.join("empty"))?;
            fs::write(at.join("empty"), "")
        },
        |at| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(at.join("file"), fs::Permissions::from_mode(0o755))
        },
    ];
    let tree = Tree::directory([
        ("file", Tree::file("contents")),
        ("link", Tree::symlink("file")),
        ("empty", Tree::directory::<&str>([])),
        ("d/e", Tree::executable("x")),
    ]);
    for (number, change) in changes.into_iter().enumerate() {
        let (_workshop, mut forge, generation) = good();
        let (path, toplevel) = with(&mut forge, &generation, &tree);
        assert_admitted(&by_bytes(&forge, &toplevel));
        forge.change(&path, change).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_denied(&by_bytes(&forge, &toplevel), &["part content-drift"]);
    }
}

#[test]
fn d11_names_of_any_bytes_are_hashed_exactly() {
    let names: [&[u8]; 10] = [
        b"\n",
        b"\x1b[2J",
        b"\xff\xfe",
        b"a\nb",
        b"\\",
        b" ",
        b"-rf",
        b"~nix~case~hack~1",
        &[b'x'; 255],
        b"\xc3\x28",
    ];
    for name in names {
        let (_workshop, mut forge, generation) = good();
        let tree = Tree::directory([(name, Tree::file("x")), (b"A", Tree::symlink(name))]);
        let (path, toplevel) = with(&mut forge, &generation, &tree);
        assert_admitted(&by_bytes(&forge, &toplevel));
        let mut other = name.to_vec();
        *other.last_mut().unwrap() ^= 0x40;
        forge
            .change(&path, |at| {
                fs::rename(at.join(OsStr::from_bytes(name)), at.join(OsStr::from_bytes(&other)))
            })
            .unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &["part content-drift"]);
    }
}

#[test]
fn d11_long_and_odd_link_targets_are_hashed_exactly() {
    let long = "x/".repeat(2047) + "x";
    for target in [&b"\n"[..], b"/etc/shadow", b"..", b"\xff", long.as_bytes()] {
        let (_workshop, mut forge, generation) = good();
        let (path, toplevel) = with(&mut forge, &generation, &Tree::symlink(target));
        assert_admitted(&by_bytes(&forge, &toplevel));
        forge
            .change(&path, |at| {
                fs::remove_file(at)?;
                symlink("/etc/passwd", at)
            })
            .unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &["part content-drift"]);
    }
}

#[test]
fn d11_the_toplevel_itself_is_never_followed() {
    let (_workshop, mut forge, generation) = good();
    let copy = forge.root().join("copy");
    forge
        .change(&generation.toplevel, |at| {
            fs::rename(at, &copy)?;
            symlink(&copy, at)
        })
        .unwrap();
    narwarden_forge::canonicalise(&copy).unwrap();
    let found = by_bytes(&forge, &generation.toplevel);
    assert_denied(&found, &["nixos-system-demo-26.05 content-drift"]);
    // Not inside either: a directory replaced by a link to a copy of it.
    let (_workshop, mut forge, generation) = good();
    let copy = forge.root().join("copy");
    forge
        .change(&generation.toplevel, |at| {
            fs::rename(at.join("bin"), &copy)?;
            symlink(&copy, at.join("bin"))
        })
        .unwrap();
    narwarden_forge::canonicalise(&copy).unwrap();
    let found = by_bytes(&forge, &generation.toplevel);
    assert_denied(&found, &["nixos-system-demo-26.05 content-drift"]);
}

#[test]
fn d11_a_link_in_place_of_the_store_directory_below_is_the_operators() {
    // `/nix` itself may be a link; what is below the store directory may not.
    let (_workshop, forge, generation) = good();
    fs::rename(forge.root().join("nix/store"), forge.root().join("elsewhere")).unwrap();
    symlink(forge.root().join("elsewhere"), forge.root().join("nix/store")).unwrap();
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
}

#[test]
fn d11_ten_thousand_nested_directories() {
    let (_workshop, mut forge, generation) = good();
    let at = forge.physical(&generation.systemd);
    narwarden_forge::unlock(&at).unwrap();
    let mut directory = openat(CWD, &at, OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..10_000 {
        mkdirat(&directory, "d", Mode::RWXU).unwrap();
        directory = openat(&directory, "d", OFlags::PATH, Mode::empty()).unwrap();
    }
    let found = by_bytes(&forge, &generation.toplevel);
    // Only rm(1) gets so deep.
    assert!(Command::new("rm").arg("-rf").arg(at.join("d")).status().unwrap().success());
    assert_denied(&found, &["systemd-259 too-large"]);
    forge.change(&generation.systemd, |_| Ok(())).unwrap();
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
}

#[test]
fn d11_as_deep_as_nix_goes_is_hashed_exactly() {
    // 64 levels is what Nix takes since 2.35, 500 what older releases may have left behind.
    for depth in [63, 500] {
        let mut tree = Tree::file("bottom");
        for _ in 0..depth {
            tree = Tree::directory([("d", tree)]);
        }
        let (_workshop, mut forge, generation) = good();
        let (path, toplevel) = with(&mut forge, &generation, &tree);
        assert_admitted(&by_bytes(&forge, &toplevel));
        let bottom = "d/".repeat(depth);
        forge.overwrite(&path, bottom.trim_end_matches('/'), b"BOTTOM").unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &["part content-drift"]);
    }
}

#[test]
fn d11_wide_directories_and_large_files() {
    let names = (0..20_000).map(|number| (number.to_string(), Tree::file("")));
    let (_workshop, mut forge, generation) = good();
    let (path, toplevel) = with(&mut forge, &generation, &Tree::directory(names));
    assert_admitted(&by_bytes(&forge, &toplevel));
    forge.change(&path, |at| fs::remove_file(at.join("19999"))).unwrap();
    assert_denied(&by_bytes(&forge, &toplevel), &["part content-drift"]);
    forge.overwrite(&path, "19999", b"").unwrap();
    assert_admitted(&by_bytes(&forge, &toplevel));
    // Nobody waits for 16 TiB of nothing, nor for many files that are large together.
    let grow = |at: &Path, size| fs::OpenOptions::new().write(true).open(at)?.set_len(size);
    forge.change(&path, |at| grow(&at.join("7"), 15 << 40)).unwrap();
    assert_denied(&by_bytes(&forge, &toplevel), &["part too-large"]);
    forge.change(&path, |at| grow(&at.join("7"), 0)).unwrap();
    forge
        .change(&path, |at| (0..20_000).try_for_each(|it| grow(&at.join(it.to_string()), 1 << 30)))
        .unwrap();
    assert_denied(&by_bytes(&forge, &toplevel), &["part too-large"]);
}
