//! What the tests share: walks that cannot hang the suite, and a record of what they gave out.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use narwarden_linux::metadata::Metadata;
use narwarden_linux::tree::{Attributes, Event, Limits, StoreDirectory, Walk, WalkError};

/// An [`Event`] that can be kept. Contents are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Directory(Metadata, Vec<Vec<u8>>),
    Entry(Vec<u8>),
    EntryEnd,
    DirectoryEnd,
    File(Metadata, Vec<Vec<u8>>),
    Contents(Vec<u8>),
    FileEnd,
    Symlink(Metadata, Vec<u8>),
}

/// Walks `store/name` and calls `after` with every event and the path it belongs to.
pub(crate) fn walk_with(
    store: &Path,
    name: &[u8],
    limits: Limits,
    buffer: usize,
    mut after: impl FnMut(&[u8], &Event<'_>),
) -> Result<Vec<Seen>, WalkError> {
    let store = StoreDirectory::open(store).unwrap();
    let mut walk = Walk::open(&store, name, limits, Attributes::List)?;
    let mut buffer = vec![0; buffer];
    let (mut seen, mut path) = (Vec::new(), Vec::<Vec<u8>>::new());
    loop {
        let event = match walk.next(&mut buffer) {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(error) => {
                assert_eq!(walk.next(&mut buffer), Err(error.clone()), "an error is for good");
                return Err(error);
            }
        };
        if let Event::Entry { name } = event {
            path.push(name.to_vec());
        }
        after(&path.join(&b'/'), &event);
        if event == Event::EntryEnd {
            path.pop();
        }
        let event = owned(&event);
        keep(&mut seen, event, &buffer);
    }
    assert_eq!(walk.next(&mut buffer), Ok(None), "the end is for good");
    Ok(seen)
}

/// What an event says, but for the contents, which are in the buffer.
fn owned(event: &Event<'_>) -> Result<Seen, usize> {
    Ok(match *event {
        Event::Directory { metadata, attributes } => {
            Seen::Directory(metadata, attributes.iter().map(<[u8]>::to_vec).collect())
        }
        Event::Entry { name } => Seen::Entry(name.to_vec()),
        Event::EntryEnd => Seen::EntryEnd,
        Event::DirectoryEnd => Seen::DirectoryEnd,
        Event::File { metadata, attributes } => {
            Seen::File(metadata, attributes.iter().map(<[u8]>::to_vec).collect())
        }
        Event::Contents(length) => return Err(length),
        Event::FileEnd => Seen::FileEnd,
        Event::Symlink { metadata, target } => Seen::Symlink(metadata, target.to_vec()),
    })
}

fn keep(seen: &mut Vec<Seen>, event: Result<Seen, usize>, buffer: &[u8]) {
    match event {
        Ok(event) => seen.push(event),
        Err(length) => {
            let bytes = &buffer[..length];
            assert!(!bytes.is_empty());
            match seen.last_mut() {
                Some(Seen::Contents(before)) => before.extend_from_slice(bytes),
                _ => seen.push(Seen::Contents(bytes.to_vec())),
            }
        }
    }
}

/// Walks `store/name` with the usual limits.
pub(crate) fn walk(store: &Path, name: &[u8]) -> Result<Vec<Seen>, WalkError> {
    walk_with(store, name, Limits::default(), 65_536, |_, _| {})
}

/// Runs `work`, and fails if it blocks.
pub(crate) fn within_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(30)).expect("blocked, or panicked")
}

/// Whether this process is root; says so if not, because something is not tested then.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED, needs root: {what}");
    }
    root
}
