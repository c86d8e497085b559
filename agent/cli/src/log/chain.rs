//! `narwarden log --verify-chain`: is the record of verdicts whole? Asked of the warden, or found out from its files
//! when it does not run; which of the two is always said.

use crate::arguments::warden::Log as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, DIM, GOOD, STRONG, counted};
use narwarden_core::event::harmless;
use narwarden_core::interface::{ChainBreak, ReceiptsChecked, SOCKET};
use narwarden_core::receipt::{self, Checked, Fault, Head, LONGEST_HEAD, Part};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where narwardend keeps its state.
const STATE: &str = "/var/lib/narwarden";
/// Longer than it takes to write a receipt: what a warden writes just now is no break.
const A_MOMENT: Duration = Duration::from_millis(100);
/// How often to look again.
const LOOKS: usize = 2;

/// Who was asked.
enum Asked<'a> {
    Warden(&'a Path),
    Files(&'a Path, &'static str),
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let socket = &arguments.socket.socket;
    if let Some(directory) = &arguments.state {
        return files(arguments, directory, "as asked for with --state");
    }
    // Another socket is another warden's, whose files are elsewhere.
    let client = match socket == Path::new(SOCKET) {
        true => Client::if_running(socket)?,
        false => Some(Client::connect(socket)?),
    };
    let Some(mut client) = client else {
        return files(arguments, Path::new(STATE), "narwardend is not running");
    };
    let (checked, reply) = client.call_shown("CheckReceipts", json!({}))?;
    tell(&checked, arguments.json.then_some(&reply), &Asked::Warden(socket))
}

fn files(arguments: &Arguments, directory: &Path, why: &'static str) -> Result<Exit, Failure> {
    let checked = check(directory)?;
    let reply = match arguments.json {
        true => Some(serde_json::to_value(&checked).map_err(Failure::undecided)?),
        false => None,
    };
    tell(&checked, reply.as_ref(), &Asked::Files(directory, why))
}

fn tell(
    checked: &ReceiptsChecked,
    reply: Option<&Value>,
    asked: &Asked<'_>,
) -> Result<Exit, Failure> {
    let source = match asked {
        Asked::Warden(socket) => {
            format!("checked by narwardend at {}", terminal::plain(&socket.display().to_string()))
        }
        Asked::Files(directory, why) => {
            let directory = directory.display().to_string();
            format!("read from the files in {} ({why})", terminal::plain(&directory))
        }
    };
    match reply {
        Some(reply) => {
            // Standard output is for the machine.
            terminal::print_error(&format!("{DIM}{source}{DIM:#}\n"))?;
            terminal::print(&terminal::json(reply))?;
        }
        None => terminal::print(&(describe(checked) + &format!("  {DIM}{source}{DIM:#}\n")))?,
    }
    Ok(if checked.broken.is_none() { Exit::Admitted } else { Exit::Denied })
}

fn describe(checked: &ReceiptsChecked) -> String {
    let receipts = counted(checked.receipts, "receipt");
    let Some(broken) = &checked.broken else {
        let last = match &checked.head {
            Some(head) => format!(
                "  the last is {}\n  {STRONG}next:{STRONG:#} the journal names it too: journalctl NARWARDEN_RECEIPT={0}\n",
                harmless(head)
            ),
            None => String::new(),
        };
        if checked.receipts == 0 {
            return "no receipts yet\n".to_owned();
        }
        return format!("{GOOD}whole{GOOD:#}  {receipts}, each bound to the one before\n{last}");
    };
    let (file, problem) = (harmless(&broken.file), harmless(&broken.problem));
    format!(
        "{BAD}BROKEN{BAD:#}  {file}:{}: {problem}\n  {receipts} before it hold together\n  {STRONG}next:{STRONG:#} keep a copy of the files, find out who wrote there, and compare with the journal: journalctl NARWARDEN_EVENT=receipts-broken\n",
        broken.line,
    )
}

/// Walks the chain below a state directory.
fn check(directory: &Path) -> Result<ReceiptsChecked, Failure> {
    let mut found = look(directory)?;
    for _ in 0..LOOKS {
        if found.is_err() {
            std::thread::sleep(A_MOMENT);
            found = look(directory)?;
        }
    }
    Ok(match found {
        Ok(checked) => ReceiptsChecked {
            receipts: checked.lines,
            head: Some(checked.head.digest),
            broken: None,
        },
        Err((part, broken)) => ReceiptsChecked {
            receipts: broken.before(),
            head: None,
            broken: Some(ChainBreak {
                file: directory.join(part.file()).display().to_string(),
                line: broken.line,
                problem: broken.fault.to_string(),
            }),
        },
    })
}

type Found = Result<Checked, (Part, receipt::Break)>;

fn look(directory: &Path) -> Result<Found, Failure> {
    let older = open(directory, Part::Older)?.map(BufReader::new);
    let current = open(directory, Part::Current)?.map(BufReader::new);
    let head = head(directory)?;
    let found = receipt::verify_files(older, current, head);
    if let Err((part, receipt::Break { fault: Fault::Unreadable(error), .. })) = &found {
        let path = directory.join(part.file());
        return Err(Failure::undecided(format_args!("cannot read {}: {error}", path.display())));
    }
    Ok(found)
}

fn head(directory: &Path) -> Result<Option<Head>, Failure> {
    let Some(file) = open(directory, Part::Head)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(LONGEST_HEAD)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot("read", &directory.join(Part::Head.file()), &error))?;
    // What names no line is no head: with receipts, the chain does not hold then.
    Ok(std::str::from_utf8(&bytes).ok().and_then(Head::in_file))
}

/// Opens one of the files, which must be one; `None` if it is not there, but the directory is.
fn open(directory: &Path, part: Part) -> Result<Option<File>, Failure> {
    let path = directory.join(part.file());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = retry_on_intr(|| rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty()));
    let file = match file.map_err(io::Error::from) {
        Ok(file) => File::from(file),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return absent(directory).map(|()| None);
        }
        Err(error) => return Err(cannot("open", &path, &error)),
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(Some(file)),
        Ok(_) => Err(Failure::undecided(format_args!(
            "{} is no regular file: narwardend made none of that kind; find out who did",
            path.display()
        ))),
        Err(error) => Err(cannot("look at", &path, &error)),
    }
}

/// A directory that is not there is no chain that is whole.
fn absent(directory: &Path) -> Result<(), Failure> {
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::usage(format_args!("{} is no directory", directory.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::undecided(format_args!(
            "there is no {}: narwardend never ran on this host, or its state is elsewhere: --state DIR",
            directory.display()
        ))),
        Err(error) => Err(cannot("look at", directory, &error)),
    }
}

fn cannot(operation: &str, path: &Path, error: &io::Error) -> Failure {
    let path: PathBuf = path.to_owned();
    if error.kind() == ErrorKind::PermissionDenied {
        return Failure::usage(format_args!(
            "cannot {operation} {}: {error}: run it again with sudo",
            path.display()
        ));
    }
    Failure::undecided(format_args!("cannot {operation} {}: {error}", path.display()))
}
