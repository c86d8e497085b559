//! Which program the kernel loads beside an ELF program, to run it.
//!
//! In: an open file, of whatever contents. Out: the path in its `PT_INTERP`, elf(5), which execve(2)
//! opens like a program itself. Little endian, 32 and 64 bits. What is not that, or contradicts
//! itself, has no interpreter: it would not be executed either.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fd::BorrowedFd;
use rustix::io::{Errno, pread, retry_on_intr};

/// What every ELF file begins with.
pub(crate) const MAGIC: [u8; 4] = *b"\x7fELF";
/// Size of `Elf64_Ehdr`. A smaller file can be an `Elf32_Ehdr`, but not with a program header and a path.
const HEADER: usize = 64;
/// The most bytes of program headers, and of the path with its NUL: `PATH_MAX`. The kernel's limits.
const MOST_HEADERS: usize = 65_536;
const MOST_PATH: usize = 4096;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// Where the fields are, which are as wide as an address: `Elf32_Ehdr` and `Elf32_Phdr`, or `Elf64_*`.
struct Layout {
    address: usize,
    /// Of the table of program headers: offset in the file, size of one, number.
    table: usize,
    entry: usize,
    count: usize,
    /// In a program header: offset and size of the segment in the file; its own size.
    offset: usize,
    size: usize,
    header: usize,
}

const BITS_32: Layout =
    Layout { address: 4, table: 28, entry: 42, count: 44, offset: 4, size: 16, header: 32 };
const BITS_64: Layout =
    Layout { address: 8, table: 32, entry: 54, count: 56, offset: 8, size: 32, header: 56 };

/// The interpreter that `file` names, as it is written there; `None` if it names none or is no such
/// file. It must be open for reading, and its offset stays where it is.
///
/// # Errors
/// What pread(2) says: `EBADF` for a descriptor that cannot be read, `EISDIR` for a directory.
pub fn interpreter(file: BorrowedFd<'_>) -> io::Result<Option<PathBuf>> {
    let Some(header) = read_at(file, 0, HEADER)? else { return Ok(None) };
    let Some((layout, at, length)) = table(&header) else { return Ok(None) };
    let Some(table) = read_at(file, at, length)? else { return Ok(None) };
    let Some((at, length)) = segment(&table, &layout) else { return Ok(None) };
    let Some(bytes) = read_at(file, at, length)? else { return Ok(None) };
    Ok(path(&bytes))
}

/// How long `file` must be for everything that its program headers load to be in it; `None` if it is no such file.
///
/// The kernel does not look: it maps what is missing, and the program dies of it when it is reached.
///
/// # Errors
/// As [`interpreter`].
pub fn loaded_bytes(file: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let Some(header) = read_at(file, 0, HEADER)? else { return Ok(None) };
    let Some((layout, at, length)) = table(&header) else { return Ok(None) };
    let Some(table) = read_at(file, at, length)? else { return Ok(None) };
    Ok(end(&table, &layout))
}

fn end(table: &[u8], layout: &Layout) -> Option<u64> {
    let kind = |header: &[u8]| field(header, 0).map(u32::from_le_bytes);
    let loaded = table.chunks_exact(layout.header).filter(|it| kind(it) == Some(PT_LOAD));
    loaded
        .map(|it| {
            address(it, layout.offset, layout)?.checked_add(address(it, layout.size, layout)?)
        })
        .try_fold(0, |most, end| Some(end?.max(most)))
}

/// Where the program headers are, and how long they are together.
fn table(header: &[u8]) -> Option<(Layout, u64, usize)> {
    if header.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    // Class, and little endian.
    let layout = match header.get(4..6)? {
        [1, 1] => BITS_32,
        [2, 1] => BITS_64,
        _ => return None,
    };
    let count = usize::from(u16::from_le_bytes(field(header, layout.count)?));
    let entry = usize::from(u16::from_le_bytes(field(header, layout.entry)?));
    let length = count.checked_mul(entry)?;
    let fits = entry == layout.header && (1..=MOST_HEADERS).contains(&length);
    let at = address(header, layout.table, &layout)?;
    fits.then_some((layout, at, length))
}

/// Where the first interpreter's path is, and how long it is with its NUL.
fn segment(table: &[u8], layout: &Layout) -> Option<(u64, usize)> {
    let header = table
        .chunks_exact(layout.header)
        .find(|header| field(header, 0).map(u32::from_le_bytes) == Some(PT_INTERP))?;
    let length = usize::try_from(address(header, layout.size, layout)?).ok()?;
    let fits = (2..=MOST_PATH).contains(&length);
    Some((address(header, layout.offset, layout)?, length)).filter(|_| fits)
}

/// The path up to its NUL. As the kernel has it, the last byte is one.
fn path(bytes: &[u8]) -> Option<PathBuf> {
    let (last, _) = bytes.split_last()?;
    let path = bytes.split(|byte| *byte == 0).next().filter(|path| !path.is_empty())?;
    (*last == 0).then(|| PathBuf::from(OsStr::from_bytes(path)))
}

fn address(bytes: &[u8], at: usize, layout: &Layout) -> Option<u64> {
    if layout.address == 4 {
        return field(bytes, at).map(|field| u64::from(u32::from_le_bytes(field)));
    }
    field(bytes, at).map(u64::from_le_bytes)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// So many bytes; `None` if the file has fewer, or no such offset.
fn read_at(file: BorrowedFd<'_>, at: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; length];
    let mut rest = Range { start: 0, end: length };
    while let Some(space) = bytes.get_mut(rest.clone()).filter(|space| !space.is_empty()) {
        let Some(offset) =
            at.checked_add(rest.start as u64).filter(|it| i64::try_from(*it).is_ok())
        else {
            return Ok(None);
        };
        match retry_on_intr(|| pread(file, &mut *space, offset)) {
            Ok(0) => return Ok(None),
            Ok(more) => rest.start = rest.start.saturating_add(more),
            // An offset that no file of this file system has.
            Err(Errno::INVAL | Errno::OVERFLOW) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "says what is not tested")]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::process::Command;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn of(bytes: &[u8]) -> Option<String> {
        let path = interpreter(file_of(bytes).as_fd()).unwrap();
        path.map(|path| path.into_os_string().into_string().unwrap())
    }

    /// A file with one segment before the interpreter's.
    fn elf(layout: &Layout, path: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + 2 * layout.header];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(4, &[if layout.address == 4 { 1 } else { 2 }, 1, 1]);
        put(layout.table, &[64, 0, 0, 0]);
        put(layout.entry, &u16::try_from(layout.header).unwrap().to_le_bytes());
        put(layout.count, &[2, 0]);
        let segment = HEADER + layout.header;
        put(HEADER, &[1]);
        put(segment, &PT_INTERP.to_le_bytes());
        let at = u32::try_from(HEADER + 2 * layout.header).unwrap();
        put(segment + layout.offset, &at.to_le_bytes());
        put(segment + layout.size, &u32::try_from(path.len()).unwrap().to_le_bytes());
        [bytes, path.to_vec()].concat()
    }

    #[test]
    fn paths_of_all_sorts_in_both_widths() {
        let longest = [vec![b'a'; MOST_PATH - 1], vec![0]].concat();
        let longer = [vec![b'a'; MOST_PATH], vec![0]].concat();
        let table: [(&[u8], bool); 9] = [
            (b"/lib/ld.so\0", true),
            (b"ld.so\0", true),
            (b"/lib/ld.so\0padding\0", true),
            (&longest, true),
            (&longer, false),
            (b"/lib/ld.so", false),
            (b"\0", false),
            (b"\0\0\0", false),
            (b"", false),
        ];
        for layout in [BITS_32, BITS_64] {
            for (path, there) in table {
                let expected = path.split(|byte| *byte == 0).next().unwrap();
                let expected = String::from_utf8(expected.to_vec()).unwrap();
                let bytes = elf(&layout, path);
                assert_eq!(of(&bytes), there.then_some(expected), "{} bytes", path.len());
                if there {
                    assert_eq!(of(&bytes[..bytes.len() - 1]), None, "cut off");
                }
            }
        }
    }

    #[test]
    fn contradictions() {
        for layout in [BITS_32, BITS_64] {
            let good = elf(&layout, b"/lib/ld.so\0");
            let segment = HEADER + layout.header;
            let width = layout.address;
            let far = [0xff_u8; 8];
            let negative = [&[0_u8; 7][..width - 1], &[0x80]].concat();
            let wider = [u8::try_from(layout.header + 1).unwrap()];
            let table: [(usize, &[u8]); 13] = [
                (0, &[0]),
                (4, &[3]),
                (5, &[2]),
                (layout.entry, &[0, 0]),
                (layout.entry, &[1]),
                (layout.entry, &wider),
                (layout.count, &[0, 0]),
                (layout.count, &[0xff, 0xff]),
                (layout.table, &far[..width]),
                (layout.table, &negative),
                (segment, &[1]),
                (segment + layout.offset, &far[..width]),
                (segment + layout.size, &far[..width]),
            ];
            for (at, change) in table {
                let mut bad = good.clone();
                bad[at..at + change.len()].copy_from_slice(change);
                assert_eq!(of(&bad), None, "{width} {at} {change:?}");
            }
            assert_eq!(of(&good).as_deref(), Some("/lib/ld.so"), "the control");
            for length in 0..good.len() {
                assert_eq!(of(&good[..length]), None, "{length}");
            }
        }
    }

    #[test]
    fn what_is_loaded_ends_within_the_file() {
        for layout in [BITS_32, BITS_64] {
            let mut bytes = elf(&layout, b"/lib/ld.so\0");
            let loaded = |bytes: &[u8]| loaded_bytes(file_of(bytes).as_fd()).unwrap();
            assert_eq!(loaded(&bytes), Some(0), "the segment before the interpreter's is empty");
            bytes[HEADER + layout.offset] = 200;
            bytes[HEADER + layout.size] = 100;
            assert_eq!(loaded(&bytes), Some(300));
            bytes[HEADER..HEADER + 4].copy_from_slice(&2_u32.to_le_bytes());
            assert_eq!(loaded(&bytes), Some(0), "the control: another kind of segment");
            bytes[HEADER] = 1;
            bytes[HEADER + layout.offset..][..layout.address].fill(0xff);
            bytes[HEADER + layout.size..][..layout.address].fill(0xff);
            let ends = [None, Some(2 * u64::from(u32::MAX))];
            assert!(ends.contains(&loaded(&bytes)), "past any file");
            assert_eq!(loaded(&bytes[..HEADER]), None);
        }
        let own = File::open("/proc/self/exe").unwrap();
        let length = own.metadata().unwrap().len();
        assert!(loaded_bytes(own.as_fd()).unwrap().is_some_and(|it| (1..=length).contains(&it)));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        interpreter(File::open("/").unwrap().as_fd()).unwrap_err();
        let written = File::options().write(true).open("/dev/null").unwrap();
        interpreter(written.as_fd()).unwrap_err();
        assert_eq!(interpreter(File::open("/dev/null").unwrap().as_fd()).unwrap(), None);
        assert_eq!(interpreter(File::open("/dev/zero").unwrap().as_fd()).unwrap(), None);
    }

    #[test]
    fn agrees_with_readelf() {
        let own = std::env::current_exe().unwrap();
        let programs = ["/bin/true", "/bin/sh", "/lib64/ld-linux-x86-64.so.2", "/proc/self/exe"];
        for program in programs.iter().map(PathBuf::from).chain([own]) {
            let Ok(program) = fs::canonicalize(&program) else {
                eprintln!("SKIPPED, no {program:?} here");
                continue;
            };
            let ours = interpreter(File::open(&program).unwrap().as_fd()).unwrap();
            match Command::new("readelf").args(["-W", "-l"]).arg(&program).output() {
                Ok(output) => {
                    let text = String::from_utf8(output.stdout).unwrap();
                    let theirs = text.lines().find_map(|line| {
                        line.split_once("program interpreter: ")?.1.strip_suffix(']')
                    });
                    assert_eq!(ours, theirs.map(PathBuf::from), "{program:?}");
                }
                Err(error) if cfg!(all(target_arch = "x86_64", target_env = "gnu")) => {
                    eprintln!("no readelf to compare with: {error}");
                    assert!(ours.is_none_or(|path| path.ends_with("ld-linux-x86-64.so.2")));
                }
                Err(error) => eprintln!("SKIPPED, no readelf: {error}"),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn any_bytes(bytes in vec(any::<u8>(), 0..300), is_elf: bool) {
            let start: &[u8] = if is_elf { b"\x7fELF\x02\x01" } else { b"" };
            let _ = interpreter(file_of(&[start, &bytes].concat()).as_fd()).unwrap();
        }

        #[test]
        fn a_real_one_with_wrong_bytes(
            flips in vec((0_usize..1000, any::<u8>()), 0..9), length in 0_usize..40_000,
        ) {
            let mut bytes = vec![0; length];
            File::open("/proc/self/exe").unwrap().read_exact(&mut bytes).unwrap();
            for (at, byte) in flips {
                if let Some(flipped) = bytes.get_mut(at) {
                    *flipped ^= byte;
                }
            }
            let found = interpreter(file_of(&bytes).as_fd()).unwrap();
            if let Some(path) = found {
                let path = path.as_os_str().as_bytes();
                prop_assert!(!path.is_empty() && path.len() < MOST_PATH && !path.contains(&0));
                prop_assert!(bytes.windows(path.len()).any(|window| window == path));
            }
        }
    }
}
