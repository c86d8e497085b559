//! The lines of `/proc/PID/stat` and `/proc/PID/status`: proc_pid_stat(5), proc_pid_status(5).
//!
//! The name of a process is its own choice and stands in the middle of both.

/// Some fields of `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: u32,
    /// Device number of the controlling terminal in the kernel's own encoding; 0 for none.
    pub(super) terminal: u32,
    pub(super) started: u64,
}

impl Stat {
    /// Fields are counted from the last parenthesis, since the name may hold any but no digit follows it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = str::from_utf8(text.get(end..)?.get(1..)?).ok()?;
        // State is field 3 of proc(5) and the first here.
        let field = |number: usize| rest.split_ascii_whitespace().nth(number.checked_sub(3)?);
        Some(Self {
            parent: field(4)?.parse().ok()?,
            terminal: field(7)?.parse::<i32>().ok()?.cast_unsigned(),
            started: field(22)?.parse().ok()?,
        })
    }
}

/// The user in `status`, if real, effective, saved and file system user are one.
pub(super) fn uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    let mut uids = str::from_utf8(line).ok()?.split_ascii_whitespace().map(str::parse::<u32>);
    let uid = uids.next()?.ok()?;
    let others: Vec<_> = uids.collect();
    (others.len() == 3 && others.into_iter().all(|other| other == Ok(uid))).then_some(uid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: &str = "S 41 42 42 34817 42 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2 3";

    #[test]
    fn names_made_to_mislead() {
        let expected = Some(Stat { parent: 41, terminal: 34_817, started: 98_765 });
        for name in ["sh", "", ") S 1 1 1 0", "a) R 9 9 9 (", "\n", "((("] {
            let text = format!("42 ({name}) {REST}\n");
            assert_eq!(Stat::parse(text.as_bytes()), expected, "{name:?}");
        }
        let bytes = [b"42 (\xff\xfe) ", REST.as_bytes()].concat();
        assert_eq!(Stat::parse(&bytes), expected);
    }

    #[test]
    fn short_or_strange() {
        for text in ["", ")", "42 (sh)", "42 (sh) S 41", "42 (sh) S x 1 1 0", "42 (sh) S -1 1 1 0"]
        {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn users() {
        let table = [
            ("Name:\tsh\nUid:\t0\t0\t0\t0\nGid:\t1\t1\t1\t1\n", Some(0)),
            ("Uid:\t1000\t1000\t1000\t1000\n", Some(1000)),
            ("Uid:\t1000\t0\t0\t0\n", None),
            ("Uid:\t0\t1000\t1000\t1000\n", None),
            ("Uid:\t1000\t1000\t0\t1000\n", None),
            ("Uid:\t1000\t1000\t1000\n", None),
            ("Uid:\t1000\t1000\t1000\t1000\t1000\n", None),
            ("Uid:\n", None),
            ("Name:\tUid:\t0\t0\t0\t0\n", None),
            ("", None),
        ];
        for (text, uid) in table {
            assert_eq!(super::uid(text.as_bytes()), uid, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = (Stat::parse(&bytes), uid(&bytes));
        }
    }
}
