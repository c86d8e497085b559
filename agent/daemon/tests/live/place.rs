//! Where a test runs: in a mount and a process namespace of its own, on a file system of its own.

use crate::host::Host;
use narwarden_linux::fanotify::Group;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory, for the process that runs the body of a test.
const LIVE: &str = "NARWARDEN_TEST_LIVE";

/// What the store lies on.
#[derive(Clone, Copy)]
enum FileSystem {
    Tmpfs,
    /// An image on the tmpfs.
    Ext4,
}

/// Runs the body of the test `name` on a host of its own, on a tmpfs.
pub(crate) fn live(name: &str, body: impl FnOnce(&mut Host)) {
    run(name, FileSystem::Tmpfs, body);
}

/// The same on ext4.
pub(crate) fn live_on_ext4(name: &str, body: impl FnOnce(&mut Host)) {
    run(name, FileSystem::Ext4, body);
}

fn run(name: &str, file_system: FileSystem, body: impl FnOnce(&mut Host)) {
    if let Some(directory) = std::env::var_os(LIVE) {
        match mounted(Path::new(&directory), file_system) {
            Ok(at) => body(&mut Host::new(&at)),
            Err(why) => eprintln!("SKIPPED, {why}: {name}"),
        }
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED, needs root: {name}");
        return;
    }
    if let Err(error) = Group::hold() {
        eprintln!("SKIPPED, no fanotify groups here ({error}): {name}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // When the first process of the namespace ends, however that may be, all others do.
    let output = Command::new("timeout")
        .args(["--signal=KILL", "600", "unshare", "--mount", "--propagation=private"])
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(LIVE, directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{}\n{text}\n{said}",
        output.status
    );
    said.lines().filter(|line| line.starts_with("SKIPPED")).for_each(|line| eprintln!("{line}"));
}

/// A file system of our own, that ends with the mount namespace.
fn mounted(directory: &Path, file_system: FileSystem) -> Result<PathBuf, String> {
    let tmpfs = Command::new("mount").args(["-t", "tmpfs", "test"]).arg(directory).status();
    assert!(tmpfs.unwrap().success(), "a tmpfs in a mount namespace of our own");
    match file_system {
        FileSystem::Tmpfs => Ok(directory.to_owned()),
        FileSystem::Ext4 => ext4(directory),
    }
}

fn ext4(directory: &Path) -> Result<PathBuf, String> {
    let (image, at) = (directory.join("image"), directory.join("ext4"));
    std::fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
    std::fs::create_dir(&at).unwrap();
    run_tool(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
    run_tool(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(&at))?;
    Ok(at)
}

fn run_tool(command: &mut Command) -> Result<(), String> {
    let done = command.output();
    let program = command.get_program().display();
    match done {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("no ext4 image can be mounted ({program}: {})", said.trim()))
        }
        Err(error) => Err(format!("no ext4 image can be mounted ({program}: {error})")),
    }
}
