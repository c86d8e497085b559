//! One entry as bytes: which field names and sizes are taken, and how a field is framed.
//!
//! ```text
//! entry := field*
//! field := name '\n' length:u64le value '\n'
//! ```
//!
//! Names are those of systemd.journal-fields(7) a program may send: `A-Z`, `0-9` and `_`, neither a
//! digit nor `_` first (journald's own fields begin with `_`), at most 64 bytes. journald drops
//! others silently; here they are errors.

use std::io;

/// Most bytes of an entry; journald itself takes more, but nobody reads it.
pub(super) const ENTRY_BYTES: usize = 8 << 20;
/// Most fields beside message and priority; journald takes 1,024.
pub(super) const FIELDS: usize = 256;
/// Most bytes of a field name, journald's own limit.
const NAME_BYTES: usize = 64;
/// Field names given as arguments of their own: a second value would be ambiguous.
const RESERVED: [&str; 2] = ["MESSAGE", "PRIORITY"];

/// The levels of syslog(3), most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// 0: the system is unusable. Shown on every terminal by default.
    Emergency,
    /// 1: somebody must act at once.
    Alert,
    /// 2: a part does not do its work.
    Critical,
    /// 3: something failed.
    Error,
    /// 4: something may fail.
    Warning,
    /// 5: worth knowing.
    Notice,
    /// 6: normal.
    Information,
    /// 7: for whoever looks for a fault.
    Debug,
}

impl Priority {
    /// All of them, each at the place of its number in syslog(3).
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Information,
        Self::Debug,
    ];

    /// The level with that number of syslog(3); `None` above 7.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number of syslog(3), as a digit.
    #[must_use]
    pub const fn digit(self) -> &'static str {
        match self {
            Self::Emergency => "0",
            Self::Alert => "1",
            Self::Critical => "2",
            Self::Error => "3",
            Self::Warning => "4",
            Self::Notice => "5",
            Self::Information => "6",
            Self::Debug => "7",
        }
    }
}

impl From<log::Level> for Priority {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Error => Self::Error,
            log::Level::Warn => Self::Warning,
            log::Level::Info => Self::Information,
            log::Level::Debug | log::Level::Trace => Self::Debug,
        }
    }
}

/// An entry that journald would not take whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum EntryError {
    /// A name that journald would drop, or that has an argument of its own.
    #[error(
        "journal field {name:?} must have a name of A-Z, 0-9 and _, a letter first, at most 64 \
         bytes, and be neither MESSAGE nor PRIORITY"
    )]
    Name { name: String },
    /// More fields than taken.
    #[error(
        "a journal entry must have at most {FIELDS} fields, but has more: put them in one value"
    )]
    TooManyFields,
    /// More bytes than taken.
    #[error("a journal entry must have at most {ENTRY_BYTES} bytes, but has {bytes}: shorten it")]
    TooLarge { bytes: usize },
}

impl From<EntryError> for io::Error {
    fn from(error: EntryError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// The entry, within the bounds above.
pub(super) fn encode<'a>(
    priority: Priority,
    message: &'a [u8],
    fields: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
) -> Result<Vec<u8>, EntryError> {
    if fields.clone().nth(FIELDS).is_some() {
        return Err(EntryError::TooManyFields);
    }
    for (name, _) in fields.clone() {
        if !is_taken(name) {
            // The name may be anything of any length: it goes into a message.
            return Err(EntryError::Name { name: name.chars().take(NAME_BYTES).collect() });
        }
    }
    let all = || {
        let own = [("PRIORITY", priority.digit().as_bytes()), ("MESSAGE", message)];
        own.into_iter().chain(fields.clone())
    };
    let bytes = all().fold(0_usize, |sum, (name, value)| {
        // Two newlines and the length.
        sum.saturating_add(name.len()).saturating_add(value.len()).saturating_add(10)
    });
    if bytes > ENTRY_BYTES {
        return Err(EntryError::TooLarge { bytes });
    }
    let mut entry = Vec::with_capacity(bytes);
    for (name, value) in all() {
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        entry.extend_from_slice(value);
        entry.push(b'\n');
    }
    Ok(entry)
}

fn is_taken(name: &str) -> bool {
    let letter_first = name.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
    let known = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
    letter_first && name.len() <= NAME_BYTES && name.bytes().all(known) && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example() {
        let entry = encode(Priority::Critical, b"a\nb", [("FOO", &b"BAR"[..])].into_iter());
        let expected = b"PRIORITY\n\x01\0\0\0\0\0\0\x002\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\
            FOO\n\x03\0\0\0\0\0\0\0BAR\n";
        assert_eq!(entry.unwrap(), expected);
    }

    #[test]
    fn names_journald_would_drop_are_errors() {
        let long = "A".repeat(65);
        for name in
            ["", "_PID", "1A", "a", "A B", "A=B", "A\nB", "É", "MESSAGE", "PRIORITY", long.as_str()]
        {
            let entry = encode(Priority::Debug, b"", [(name, &b""[..])].into_iter());
            assert!(matches!(entry, Err(EntryError::Name { .. })), "{name:?}");
        }
        let longest = "A".repeat(64);
        for name in ["A", "A_1", "MESSAGE_ID", "CODE_FILE", longest.as_str()] {
            assert!(encode(Priority::Debug, b"", [(name, &b""[..])].into_iter()).is_ok());
        }
    }

    #[test]
    fn the_bounds_are_where_they_are_said_to_be() {
        let many = |count| encode(Priority::Debug, b"", vec![("A", &b""[..]); count].into_iter());
        assert!(many(FIELDS).is_ok());
        assert_eq!(many(FIELDS + 1), Err(EntryError::TooManyFields));
        // PRIORITY and its digit, MESSAGE, two frames.
        let overhead = 8 + 1 + 7 + 20;
        let fits = vec![0; ENTRY_BYTES - overhead];
        assert_eq!(encode(Priority::Debug, &fits, [].into_iter()).unwrap().len(), ENTRY_BYTES);
        let large = vec![0; ENTRY_BYTES - overhead + 1];
        let error = encode(Priority::Debug, &large, [].into_iter());
        assert_eq!(error, Err(EntryError::TooLarge { bytes: ENTRY_BYTES + 1 }));
    }
}
