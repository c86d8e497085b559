//! The lines of `/proc/PID/stat` and `/proc/PID/status`: proc_pid_stat(5), proc_pid_status(5).
//!
//! The name of a process is its own choice and stands in the middle of both.

use super::Privilege;
use crate::fanotify::Access;

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

/// What one thread may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    /// Real, effective, saved and file system user.
    pub(super) users: [u32; 4],
    /// Permitted and effective capabilities, capabilities(7).
    pub(super) held: u64,
    /// Those that a program which is executed gets, if its file adds none.
    pub(super) ambient: u64,
}

impl Credentials {
    /// From `status`.
    pub(super) fn parse(status: &[u8]) -> Option<Self> {
        let value = |name: &[u8]| {
            let mut lines = status.split(|byte| *byte == b'\n');
            let line = lines.find_map(|line| line.strip_prefix(name))?;
            Some(str::from_utf8(line).ok()?.trim())
        };
        let mut users = value(b"Uid:")?.split_ascii_whitespace().map(str::parse::<u32>);
        let users = [users.next()?, users.next()?, users.next()?, users.next()?];
        let [real, effective, saved, of_files] = users;
        let capabilities = |name| u64::from_str_radix(value(name)?, 16).ok();
        Some(Self {
            users: [real.ok()?, effective.ok()?, saved.ok()?, of_files.ok()?],
            held: capabilities(b"CapPrm:")? | capabilities(b"CapEff:")?,
            ambient: capabilities(b"CapAmb:")?,
        })
    }

    /// Whether it is root, could become it, or what it asks for would have a part of what root may do.
    pub(super) fn privilege(self, access: Access) -> Privilege {
        let capabilities = match access {
            Access::Open => self.held,
            Access::Exec => self.ambient,
        };
        if self.users.contains(&0) {
            Privilege::Root
        } else if capabilities != 0 {
            Privilege::Capable
        } else {
            Privilege::None
        }
    }
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
    fn privileges() {
        let none = "CapInh:\t1\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0\n";
        let user = "Uid:\t1000\t1000\t1000\t1000\n";
        let of = |open, execute| Some((open, execute));
        let (all, not) =
            (of(Privilege::Root, Privilege::Root), of(Privilege::None, Privilege::None));
        let opens = of(Privilege::Capable, Privilege::None);
        let table = [
            ("Name:\tsh\nUid:\t0\t0\t0\t0\nGid:\t1\t1\t1\t1\n", none, all),
            (user, none, not),
            ("Uid:\t1000\t0\t0\t0\n", none, all),
            ("Uid:\t0\t1000\t1000\t1000\n", none, all),
            ("Uid:\t1000\t1000\t0\t1000\n", none, all),
            // What execve(2) takes away: setpriv(1) leaves it until then.
            (user, "CapPrm:\t0000000000000002\nCapEff:\t0\nCapAmb:\t0\n", opens),
            (user, "CapPrm:\t0\nCapEff:\t0000000000200000\nCapAmb:\t0\n", opens),
            (
                user,
                "CapPrm:\t2\nCapEff:\t2\nCapAmb:\t0000000000000002\n",
                of(Privilege::Capable, Privilege::Capable),
            ),
            (user, "CapPrm:\t0\nCapAmb:\t0\n", None),
            (user, "CapPrm:\t0\nCapEff:\tx\nCapAmb:\t0\n", None),
            ("Uid:\t1000\t1000\t1000\n", none, None),
            ("Uid:\n", none, None),
            ("Name:\tUid:\t0\t0\t0\t0\n", none, None),
            ("", "", None),
        ];
        for (users, capabilities, expected) in table {
            let status = format!("{users}{capabilities}");
            let found = Credentials::parse(status.as_bytes())
                .map(|it| (it.privilege(Access::Open), it.privilege(Access::Exec)));
            assert_eq!(found, expected, "{status:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = (Stat::parse(&bytes), Credentials::parse(&bytes));
        }
    }
}
