//! The path of a process's controlling terminal.
//!
//! The kernel tells a device number. Its name is looked up where names of terminals are, pts(4) and
//! sysfs(5), and believed only if the device there has that number and is what the process reads from
//! or writes to.

use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, major, makedev, minor, stat};

use super::slurp;
use crate::file_id::FileId;

/// Major number of the terminals below `/dev/pts`, `UNIX98_PTY_SLAVE_MAJOR`.
const PTS: u32 = 136;

/// The terminal with the number in `/proc/PID/stat`, for the process with this directory.
pub(super) fn of(process: &OwnedFd, number: u32) -> Option<PathBuf> {
    if number == 0 {
        return None;
    }
    let device = device(number);
    let path = name(device)?;
    let found = stat(&path).ok()?;
    let is_it = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
        && found.st_rdev == device;
    let id = FileId::at(&path).ok()?;
    let streams = ["fd/0", "fd/1", "fd/2"];
    let used = || streams.iter().any(|it| FileId::below(process, *it).is_ok_and(|it| it == id));
    (is_it && used()).then_some(path)
}

/// From the encoding of `tty_nr`: bits 31 to 20 and 7 to 0 are the minor number, 19 to 8 the major.
fn device(number: u32) -> u64 {
    makedev((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00))
}

fn name(device: u64) -> Option<PathBuf> {
    let (major, minor) = (major(device), minor(device));
    if major == PTS {
        return Some(format!("/dev/pts/{minor}").into());
    }
    let event = slurp(CWD, &format!("/sys/dev/char/{major}:{minor}/uevent"))?;
    let line =
        event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"DEVNAME="))?;
    let name = str::from_utf8(line).ok()?;
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| Path::new("/dev").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers() {
        let table = [
            (34_816, (136, 0)),
            (34_823, (136, 7)),
            (0x1000_8812, (136, 0x1_0012)),
            (1025, (4, 1)),
            (u32::MAX, (0xfff, 0xf_ffff)),
        ];
        for (number, (major, minor)) in table {
            assert_eq!(device(number), makedev(major, minor), "{number:#x}");
        }
        assert_eq!(name(makedev(136, 3)), Some("/dev/pts/3".into()));
        assert_eq!(name(makedev(0xfff, 0xf_ffff)), None);
        assert_eq!(name(makedev(5, 0)), Some("/dev/tty".into()));
    }
}
