//! The descriptors this process was started with: from the service manager's store, or from the
//! program that was replaced by this one with execve(2).
//!
//! sd_listen_fds(3). The crate `sd-notify` reads those variables too, but marks the descriptors
//! close-on-exec without a look at them. Here that they are not is the proof that they came with the
//! start: whatever this program opens is close-on-exec from the first moment.

#![allow(unsafe_code, reason = "a number in the environment becomes a descriptor owned here")]

use std::env;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

use super::is_name;

/// The variable that tells a program which descriptors its predecessor left open for it.
pub const KEPT: &str = "NARWARDEN_KEPT_FDS";
/// The first descriptor handed over, `SD_LISTEN_FDS_START`.
const FIRST: RawFd = 3;
/// Most descriptors taken; this service stores two.
const MOST: usize = 64;
/// What sd_listen_fds_with_names(3) calls a descriptor without a name.
const NAMELESS: &str = "unknown";

/// Descriptors are taken once: a second owner would close them under the first.
static TAKEN: AtomicBool = AtomicBool::new(false);

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(
        "{variable} must {expected}, but is {found:?}: descriptors handed to this process are lost"
    )]
    Variable { variable: &'static str, expected: &'static str, found: String },
    #[error("descriptor {descriptor} was handed to this process as {name:?}, but {what}")]
    Descriptor { descriptor: RawFd, name: String, what: String },
}

impl From<Problem> for io::Error {
    fn from(problem: Problem) -> Self {
        Self::new(io::ErrorKind::InvalidData, problem)
    }
}

/// Takes the descriptors this process was started with, with their names, now close-on-exec. The
/// second call and every later one finds none.
///
/// To be called first in `main`. [`KEPT`] goes before `LISTEN_FDS`, which outlives an execve(2).
/// Variables meant for another process are ignored.
///
/// # Errors
/// `InvalidData` if the variables make no sense or name a descriptor that is not there: then none is
/// taken, and those that exist stay open.
pub fn take_fds() -> io::Result<Vec<(String, OwnedFd)>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let listed = Variables::read().listed(process::id())?;
    for (name, descriptor) in &listed {
        look_at(name, *descriptor)?;
    }
    listed.into_iter().map(own).collect()
}

/// The value of [`KEPT`] that hands `files` over to the program this process is replaced with. They
/// must not be close-on-exec when it begins; [`Successor::exec`](crate::successor::Successor::exec) sees
/// to all of it.
///
/// # Errors
/// `InvalidInput` for a name that [`store_fd`](super::Notifier::store_fd) would not take, and for a list
/// that [`take_fds`] would not: a descriptor twice or of standard input, output or error, or more than 64.
pub fn kept(files: &[(&str, BorrowedFd<'_>)]) -> io::Result<String> {
    let mut value = process::id().to_string();
    for (name, file) in files {
        super::named(name)?;
        value.push_str(&format!(":{name}={}", file.as_raw_fd()));
    }
    // Better refused here than by a program that has nothing to go back to.
    match value.split_once(':').map(|(_, list)| from_predecessor(&value, list)) {
        Some(Err(problem)) => Err(io::Error::new(io::ErrorKind::InvalidInput, problem)),
        Some(Ok(_)) | None => Ok(value),
    }
}

/// The variables that list descriptors, as they stand in the environment.
#[derive(Clone, Debug, Default)]
struct Variables {
    kept: Option<String>,
    pid: Option<String>,
    count: Option<String>,
    names: Option<String>,
}

impl Variables {
    fn read() -> Self {
        // Bytes that are no text are kept visible for the message.
        let read = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            kept: read(KEPT),
            pid: read("LISTEN_PID"),
            count: read("LISTEN_FDS"),
            names: read("LISTEN_FDNAMES"),
        }
    }

    /// Names and numbers, each number once.
    fn listed(&self, own_pid: u32) -> Result<Vec<(String, RawFd)>, Problem> {
        let own = own_pid.to_string();
        if self.kept.as_ref() == Some(&own) {
            return Ok(Vec::new());
        }
        if let Some(value) = &self.kept
            && let Some((pid, list)) = value.split_once(':')
            && pid == own
        {
            return from_predecessor(value, list);
        }
        match (&self.pid, &self.count) {
            (Some(pid), Some(count)) if *pid == own => from_manager(count, self.names.as_deref()),
            _ => Ok(Vec::new()),
        }
    }
}

fn from_predecessor(value: &str, list: &str) -> Result<Vec<(String, RawFd)>, Problem> {
    let wrong = || Problem::Variable {
        variable: KEPT,
        expected: "list names and different descriptors, pid:name=3:name=4",
        found: shown(value),
    };
    let mut listed: Vec<(String, RawFd)> = Vec::new();
    for item in list.split(':') {
        let (name, number) = item.rsplit_once('=').ok_or_else(wrong)?;
        let descriptor = number.parse().ok().filter(|it| *it >= FIRST).ok_or_else(wrong)?;
        let twice = listed.iter().any(|(_, other)| *other == descriptor);
        if twice || !is_name(name) || listed.len() >= MOST {
            return Err(wrong());
        }
        listed.push((name.to_owned(), descriptor));
    }
    Ok(listed)
}

fn from_manager(count: &str, names: Option<&str>) -> Result<Vec<(String, RawFd)>, Problem> {
    let descriptors: Range<RawFd> = count
        .parse::<u8>()
        .ok()
        .filter(|number| usize::from(*number) <= MOST)
        .map(|number| FIRST..FIRST.saturating_add(RawFd::from(number)))
        .ok_or_else(|| Problem::Variable {
            variable: "LISTEN_FDS",
            expected: "be a number of at most 64",
            found: shown(count),
        })?;
    let Some(names) = names else {
        return Ok(descriptors.map(|descriptor| (NAMELESS.to_owned(), descriptor)).collect());
    };
    if descriptors.is_empty() {
        return Ok(Vec::new());
    }
    if names.split(':').count() != descriptors.len() {
        return Err(Problem::Variable {
            variable: "LISTEN_FDNAMES",
            expected: "have as many names as LISTEN_FDS says",
            found: shown(names),
        });
    }
    Ok(names.split(':').map(str::to_owned).zip(descriptors).collect())
}

fn shown(value: &str) -> String {
    value.chars().take(200).collect()
}

/// Refuses a number that was not inherited.
fn look_at(name: &str, descriptor: RawFd) -> Result<(), Problem> {
    let problem = |what| Problem::Descriptor { descriptor, name: name.to_owned(), what };
    // SAFETY: F_GETFD takes any number and touches no memory; one that is not open gives EBADF.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    if flags < 0 {
        return Err(problem(format!("fcntl says: {}", io::Error::last_os_error())));
    }
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(problem("it is close-on-exec, so this program opened it".to_owned()));
    }
    Ok(())
}

fn own((name, descriptor): (String, RawFd)) -> io::Result<(String, OwnedFd)> {
    // SAFETY: the descriptor is open and came with the start of this process, as `look_at` found;
    // nothing else here owns such ones, `listed` names each once, and TAKEN lets this run once.
    let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
    fcntl_setfd(&file, FdFlags::CLOEXEC)?;
    Ok((name, file))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn listed(
        kept: Option<&str>,
        manager: Option<(&str, &str, Option<&str>)>,
    ) -> Result<Vec<(String, RawFd)>, String> {
        let text = |text: &str| Some(text.to_owned());
        let variables = Variables {
            kept: kept.and_then(text),
            pid: manager.and_then(|it| text(it.0)),
            count: manager.and_then(|it| text(it.1)),
            names: manager.and_then(|it| it.2).and_then(text),
        };
        variables.listed(77).map_err(|problem| problem.to_string())
    }

    #[test]
    fn what_the_variables_list() {
        let list = |items: &[(&str, RawFd)]| -> Vec<(String, RawFd)> {
            items.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        let stored = Some(("77", "2", Some("hold:x=y")));
        for (kept, manager, expected) in [
            (None, None, list(&[])),
            (None, stored, list(&[("hold", 3), ("x=y", 4)])),
            (None, Some(("77", "1", None)), list(&[("unknown", 3)])),
            (None, Some(("77", "2", Some("a:"))), list(&[("a", 3), ("", 4)])),
            (None, Some(("77", "0", Some(""))), list(&[])),
            (None, Some(("78", "nonsense", None)), list(&[])),
            (Some("77:hold=9:x=y=5"), stored, list(&[("hold", 9), ("x=y", 5)])),
            (Some("78:hold=9"), stored, list(&[("hold", 3), ("x=y", 4)])),
            (Some("77"), stored, list(&[])),
            (Some("78"), stored, list(&[("hold", 3), ("x=y", 4)])),
        ] {
            assert_eq!(listed(kept, manager), Ok(expected), "{kept:?} {manager:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for count in ["", "-1", "65", "4294967295", "99999999999999999999", "1 ", "x"] {
            listed(None, Some(("77", count, None))).unwrap_err();
        }
        for names in ["", "a", "a:b:c"] {
            listed(None, Some(("77", "2", Some(names)))).unwrap_err();
        }
        let many: String = (3..68).map(|number| format!(":a={number}")).collect();
        for kept in [":", ":a", ":a=", ":a=2", ":a=-1", ":=3", ":a=3:b=3", ":a=3:", ":\n=3", &many]
        {
            listed(Some(&format!("77{kept}")), None).unwrap_err();
        }
    }

    #[test]
    fn what_would_not_be_taken_is_not_handed_over() {
        let (one, two) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let (one, two) = (one.as_fd(), two.as_fd());
        let own = process::id();
        let good = format!("{own}:a={}:b={}", one.as_raw_fd(), two.as_raw_fd());
        assert_eq!(kept(&[("a", one), ("b", two)]).unwrap(), good);
        assert_eq!(kept(&[]).unwrap(), own.to_string());
        let many = vec![("a", one); MOST + 1];
        let input = std::io::stdin();
        let refused: [&[(&str, BorrowedFd<'_>)]; 5] = [
            &[("a", one), ("b", one)],
            &[("a", input.as_fd())],
            &[("", one)],
            &[("a:b", one)],
            &many,
        ];
        for files in refused {
            assert_eq!(kept(files).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{files:?}");
        }
    }

    #[test]
    fn a_descriptor_of_our_own_is_not_taken() {
        let file = tempfile::tempfile().unwrap();
        let error = look_at("hold", file.as_raw_fd()).unwrap_err().to_string();
        assert!(error.contains("close-on-exec"), "{error}");
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        assert!(look_at("hold", file.as_raw_fd()).is_ok());
        assert!(look_at("hold", 1_000_000).unwrap_err().to_string().contains("Bad file"));
    }
}
