//! D10, D11, D13, D18 as far as they need root: owners, capabilities, devices, mounts, other users.
//! Mounts are made in a namespace of its own, by this program run again under unshare(1).

use super::metadata::assert_drift;
use super::support::{assert_admitted, assert_denied, by_bytes, good, is_root, judged};
use narwarden_core::plan::Contents;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Rules, Setup, canonicalise};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};
use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Says to the inner run which store to judge.
const ROOT: &str = "NARWARDEN_TEST_ROOT";
/// Says to the inner run of which toplevel.
const TOPLEVEL: &str = "NARWARDEN_TEST_TOPLEVEL";
/// Says to the inner run what must deny, comma separated.
const WHY: &str = "NARWARDEN_TEST_WHY";
/// Neither root nor the owner of anything.
const NOBODY: u32 = 65_534;

#[test]
fn d10_owners_are_named() {
    if !is_root("other owners") {
        return;
    }
    let (_workshop, forge, generation) = good();
    for (path, inside, uid, gid) in [
        (&generation.bash, "bin/bash", 1000, 0),
        (&generation.bash, "bin/bash", 0, 100),
        (&generation.bash, "bin", 1000, 100),
        (&generation.bash, "bin/sh", 1000, 0),
        (&generation.bash, "", 1000, 0),
        (&generation.text, "", 1000, 0),
    ] {
        let at = forge.file(path, inside);
        lchown(&at, Some(uid), Some(gid)).unwrap();
        let detail = format!("belongs to {uid}:{gid}");
        assert_drift(&forge, &generation.toplevel, path, &detail);
        lchown(&at, Some(0), Some(0)).unwrap();
        assert_admitted(&by_bytes(&forge, &generation.toplevel));
    }
}

#[test]
fn d10_file_capabilities_are_named() {
    if !is_root("file capabilities") {
        return;
    }
    let (_workshop, forge, generation) = good();
    // cap_setuid+ep, version 2 (capability.h).
    let mut value = [0_u8; 20];
    value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    value[4] = 1 << 7;
    let at = forge.file(&generation.bash, "bin/bash");
    if let Err(error) = setxattr(&at, "security.capability", &value, XattrFlags::empty()) {
        eprintln!("SKIPPED, no file capabilities here: {error}");
        return;
    }
    let detail = "bin/bash has the extended attribute security.capability";
    assert_drift(&forge, &generation.toplevel, &generation.bash, detail);
}

#[test]
fn d10_trusted_attributes_are_named() {
    if !is_root("trusted attributes") {
        return;
    }
    let (_workshop, forge, generation) = good();
    for (inside, name) in [("", "trusted.overlay.opaque"), ("bin", "trusted.x")] {
        let at = forge.file(&generation.bash, inside);
        if let Err(error) = setxattr(&at, name, b"y", XattrFlags::empty()) {
            eprintln!("SKIPPED, no trusted attributes here: {error}");
            return;
        }
        let detail = format!("has the extended attribute {name}");
        assert_drift(&forge, &generation.toplevel, &generation.bash, &detail);
    }
}

#[test]
fn d11_devices_are_not_opened() {
    if !is_root("devices") {
        return;
    }
    for (kind, device) in [
        (FileType::CharacterDevice, makedev(1, 5)), // zero, which never ends
        (FileType::CharacterDevice, makedev(5, 0)), // tty, which would become the controlling one
        (FileType::BlockDevice, makedev(7, 200)),
    ] {
        let (_workshop, mut forge, generation) = good();
        forge
            .change(&generation.systemd, |at| {
                let at = at.join("bin/systemctl");
                std::fs::remove_file(&at)?;
                Ok(mknodat(CWD, &at, kind, Mode::from_raw_mode(0o444), device)?)
            })
            .unwrap();
        assert_denied(&by_bytes(&forge, &generation.toplevel), &["systemd-259 unsupported-file"]);
        // As the path itself, too.
        forge
            .change(&generation.text, |at| {
                std::fs::remove_file(at)?;
                Ok(mknodat(CWD, at, kind, Mode::from_raw_mode(0o444), device)?)
            })
            .unwrap();
        let why = ["os-release unsupported-file", "systemd-259 unsupported-file"];
        assert_denied(&by_bytes(&forge, &generation.toplevel), &why);
    }
}

/// What this program says when it is run again by `command` to judge the store at `root`.
fn run_again(mut command: Command, root: &Path, toplevel: &StorePath, why: &str) {
    let output = command
        .env(ROOT, root)
        .env(TOPLEVEL, toplevel.to_string())
        .env(WHY, why)
        .current_dir("/")
        .output();
    match output {
        Err(error) => eprintln!("SKIPPED, cannot run again: {error}"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{why}: {output:#?}");
        }
    }
}

#[test]
fn d13_as_another_user() {
    if !is_root("the view of another user") {
        return;
    }
    let (_workshop, forge, generation) = good();
    let again = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "root::inner", "--ignored"]).uid(NOBODY).gid(NOBODY);
        command
    };
    // Control: the whole store can be read by anybody.
    run_again(again(), forge.root(), &generation.toplevel, "");
    for (path, inside) in [
        (&generation.systemd, "lib/systemd/systemd"),
        (&generation.systemd, "lib"),
        (&generation.systemd, ""),
    ] {
        let at = forge.file(path, inside);
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o700)).unwrap();
        run_again(again(), forge.root(), &generation.toplevel, "systemd-259 unreadable");
        canonicalise(&at).unwrap();
    }
    run_again(again(), forge.root(), &generation.toplevel, "");
    // And owned by a user who is not root, it is no store that root manages.
    chown(forge.physical(&generation.text), Some(NOBODY), Some(NOBODY)).unwrap();
    run_again(again(), forge.root(), &generation.toplevel, "os-release metadata-drift");
}

/// What is mounted (run in the store directory with `$PART` and `$OTHER` set), and what denies.
const MOUNTS: &[(&str, &str)] = &[
    ("true", ""),
    ("mount --bind $OTHER $PART", "systemd-259 metadata-drift"),
    ("mount --bind $PART $PART", "systemd-259 metadata-drift"),
    ("mount -t tmpfs none $PART/lib", "systemd-259 metadata-drift"),
    ("mount -t tmpfs none $PART", "systemd-259 metadata-drift"),
    ("mount --bind $OTHER/bin/bash $PART/lib/systemd/systemd", "systemd-259 metadata-drift"),
    ("mount --bind /dev/null $PART/bin/systemctl", "systemd-259 metadata-drift"),
    ("mount --bind $PART/bin/systemctl $PART/bin/systemctl", "systemd-259 metadata-drift"),
    (
        "mount -t overlay none -o lowerdir=$PART:$OTHER $PART 2> /dev/null || mount --bind $OTHER $PART",
        "systemd-259 metadata-drift",
    ),
    // As NixOS mounts its store: read-only, on itself.
    ("mount --bind . . && mount -o remount,bind,ro . && cd $PWD", ""),
];

#[test]
fn d18_nothing_mounted_on_or_below_a_path_is_taken_for_it() {
    if !is_root("mounts") {
        return;
    }
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|it| it.success()) {
        eprintln!("SKIPPED, may not unshare: mounts");
        return;
    }
    let (_workshop, forge, generation) = good();
    for (mount, why) in MOUNTS {
        let script = r#"cd "$NARWARDEN_TEST_ROOT/nix/store" && eval "$1" && cd / && exec "$0" --exact root::inner --ignored"#;
        let mut command = Command::new("unshare");
        command
            .args(["-m", "--propagation", "private", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .arg(mount)
            .env("PART", generation.systemd.base_name())
            .env("OTHER", generation.bash.base_name());
        run_again(command, forge.root(), &generation.toplevel, why);
    }
    // Outside of the namespaces, all is well.
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
}

#[test]
#[ignore = "run by the others"]
fn inner() {
    let root = std::env::var(ROOT).unwrap();
    let toplevel = StorePath::parse(&std::env::var(TOPLEVEL).unwrap()).unwrap();
    let why = std::env::var(WHY).unwrap();
    let why: Vec<&str> = why.split(',').filter(|it| !it.is_empty()).collect();
    let setup = Setup { rules: Rules::good(), contents: Contents::Measured };
    let found = judged(Path::new(&root), &toplevel, &setup);
    if why.is_empty() { assert_admitted(&found) } else { assert_denied(&found, &why) }
}
