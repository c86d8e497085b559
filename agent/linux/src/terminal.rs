//! Tells somebody at a terminal something, without ever waiting for that terminal.
//!
//! In: the path of a terminal, as found out about another process, and a text that may hold names
//! chosen by whoever is being refused. Out: at most [`SHOWN_BYTES`] of it, without a character that
//! could steer the terminal. A terminal that does not take it (stopped by ^S, hung up, closed to
//! messages by `mesg n`) does not get it.
//!
//! Processes in a container may sit at a terminal of another devpts: their `/dev/pts/3` is not
//! ours. tty(4), pts(4), console_ioctl(4), null(4) for device numbers.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags, fstat, major, minor, open};
use rustix::io::{Errno, retry_on_intr};

/// Most bytes written for one message, the marks at both ends included.
pub const SHOWN_BYTES: usize = 4096;
/// Ends a message that was longer.
const CUT: &str = "…";
/// Terminals may be in raw mode, where a newline does not return to the left.
const NEWLINE: &str = "\r\n";
/// Device numbers of pseudo terminals: eight majors (Linux, admin-guide/devices.txt).
const PSEUDO_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;
/// Device number of virtual consoles, minors 1 to 63; what follows are serial lines.
const CONSOLE_MAJOR: u32 = 4;
const CONSOLES: std::ops::RangeInclusive<u32> = 1..=63;

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TerminalError {
    /// Another path.
    #[error("a terminal must be /dev/pts/N or /dev/ttyN, but is {path:?}")]
    Path { path: PathBuf },
    /// The system refused.
    #[error("cannot {operation} {path:?}: {error}")]
    Io { operation: &'static str, path: PathBuf, error: io::Error },
    /// Something else goes by that name.
    #[error("{path:?} must be that terminal, but is another file; is /dev as it should be?")]
    NotATerminal { path: PathBuf },
}

/// How much of a message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// All that was to be shown.
    Whole,
    /// The beginning; the terminal takes no more at the moment.
    Part,
    /// Nothing; the terminal takes nothing at the moment.
    Nothing,
}

/// Writes `text` to the terminal at `path`, on lines of its own.
///
/// # Errors
/// See [`TerminalError`].
pub fn tell(path: &Path, text: &str) -> Result<Delivered, TerminalError> {
    let named = Named::parse(path).ok_or_else(|| TerminalError::Path { path: path.to_owned() })?;
    let failed = |operation| {
        move |error: io::Error| TerminalError::Io { operation, path: path.to_owned(), error }
    };
    // Without NOCTTY it would become our controlling terminal; without NONBLOCK a serial line would
    // be waited for.
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = retry_on_intr(|| open(path, flags | OFlags::CLOEXEC, Mode::empty()))
        .map_err(|errno| failed("open")(errno.into()))?;
    let stat = fstat(&file).map_err(|errno| failed("stat")(errno.into()))?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !is_device || !named.has_number(major(stat.st_rdev), minor(stat.st_rdev)) {
        return Err(TerminalError::NotATerminal { path: path.to_owned() });
    }
    write_what_fits(&mut File::from(file), shown(text).as_bytes()).map_err(failed("write to"))
}

fn write_what_fits(file: &mut File, bytes: &[u8]) -> io::Result<Delivered> {
    let mut left = bytes;
    while !left.is_empty() {
        match file.write(left) {
            Ok(0) => break,
            // More than was given cannot be taken; then nothing is left.
            Ok(taken) => left = left.get(taken..).unwrap_or_default(),
            Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(match left.len() {
        0 => Delivered::Whole,
        length if length == bytes.len() => Delivered::Nothing,
        _ => Delivered::Part,
    })
}

/// A terminal as its path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Pseudo(u32),
    Console(u32),
}

impl Named {
    fn parse(path: &Path) -> Option<Self> {
        let path = path.as_os_str().as_bytes();
        let (number, kind) = match path.strip_prefix(b"/dev/pts/") {
            Some(number) => (number, Self::Pseudo as fn(u32) -> Self),
            None => (path.strip_prefix(b"/dev/tty")?, Self::Console as fn(u32) -> Self),
        };
        let canonical = number == b"0" || !number.starts_with(b"0");
        let digits = canonical && number.iter().all(u8::is_ascii_digit);
        let number = str::from_utf8(number).ok().filter(|_| digits)?.parse().ok()?;
        Some(kind(number))
    }

    fn has_number(self, major: u32, minor: u32) -> bool {
        match self {
            // One major has all minors today; the eight of old had 256 each.
            Self::Pseudo(number) => {
                PSEUDO_MAJORS.contains(&major) && {
                    let before = major.saturating_sub(*PSEUDO_MAJORS.start()).saturating_mul(256);
                    number == minor.saturating_add(before)
                }
            }
            Self::Console(number) => {
                major == CONSOLE_MAJOR && minor == number && CONSOLES.contains(&number)
            }
        }
    }
}

/// What is written for `text`.
fn shown(text: &str) -> String {
    let room = SHOWN_BYTES.saturating_sub(CUT.len()).saturating_sub(NEWLINE.len());
    let mut shown = NEWLINE.to_owned();
    for c in text.trim_end().chars() {
        let before = shown.len();
        match c {
            '\n' => shown.push_str(NEWLINE),
            c if c.is_control() || is_invisible(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
        if shown.len() > room {
            shown.truncate(before);
            shown.push_str(CUT);
            break;
        }
    }
    shown + NEWLINE
}

/// Characters that reorder or hide what stands around them (Unicode TR36, 3.1).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Lets so many things happen at once, and one more for every interval that goes by.
///
/// ```
/// use std::time::{Duration, Instant};
/// use narwarden_linux::terminal::TokenBucket;
///
/// let now = Instant::now();
/// let mut messages = TokenBucket::full(2, Duration::from_secs(10), now);
/// assert!(messages.take(now) && messages.take(now) && !messages.take(now));
/// assert!(messages.take(now + Duration::from_secs(10)));
/// ```
#[derive(Clone, Debug)]
pub struct TokenBucket {
    capacity: u32,
    interval: Duration,
    tokens: u32,
    counted_to: Instant,
}

impl TokenBucket {
    /// A bucket that is full.
    #[must_use]
    pub const fn full(capacity: u32, interval: Duration, now: Instant) -> Self {
        Self { capacity, interval, tokens: capacity, counted_to: now }
    }

    /// Takes a token, if there is one. A clock that goes back gives none.
    #[must_use]
    pub fn take(&mut self, now: Instant) -> bool {
        let gone = now.saturating_duration_since(self.counted_to);
        let fresh = gone.as_nanos().checked_div(self.interval.as_nanos()).unwrap_or(u128::MAX);
        let fresh = u32::try_from(fresh).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(fresh);
        if self.tokens >= self.capacity {
            self.tokens = self.capacity;
            self.counted_to = self.counted_to.max(now);
        } else {
            self.counted_to += self.interval.saturating_mul(fresh);
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_device_number() {
        let named = |path| Named::parse(Path::new(path)).unwrap();
        for (path, major, minor, expected) in [
            ("/dev/pts/3", 136, 3, true),
            ("/dev/pts/3", 136, 4, false),
            ("/dev/pts/300", 136, 300, true),
            ("/dev/pts/300", 137, 44, true),
            ("/dev/pts/3", 1, 3, false),
            ("/dev/pts/3", 144, 3, false),
            ("/dev/pts/0", 5, 2, false),
            ("/dev/tty1", 4, 1, true),
            ("/dev/tty1", 4, 2, false),
            ("/dev/tty0", 4, 0, false),
            ("/dev/tty64", 4, 64, false),
            ("/dev/tty1", 8, 1, false),
        ] {
            assert_eq!(named(path).has_number(major, minor), expected, "{path} {major}:{minor}");
        }
    }
}
