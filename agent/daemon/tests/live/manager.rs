//! Stand-ins for the service manager, with its descriptor store, and for journald.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// How often a receiver looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Receiver {
    path: PathBuf,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn at(path: &Path, mut take: impl FnMut(Vec<u8>, Vec<OwnedFd>) + Send + 'static) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let mut bytes = vec![0; 1 << 20];
            while !ended.load(Ordering::SeqCst) {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
                let mut control = RecvAncillaryBuffer::new(&mut space);
                let mut parts = [IoSliceMut::new(&mut bytes)];
                let flags = RecvFlags::CMSG_CLOEXEC;
                let Ok(received) = recvmsg(&socket, &mut parts, &mut control, flags) else {
                    continue;
                };
                let mut files = Vec::new();
                for message in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = message {
                        files.extend(rights);
                    }
                }
                take(bytes[..received.bytes].to_vec(), files);
            }
        });
        Self { path: path.to_owned(), end, thread: Some(thread) }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.path);
    }
}

/// journald, as long as it is held.
#[derive(Debug)]
pub(crate) struct Journal {
    _receiver: Receiver,
    entries: Arc<Mutex<Vec<String>>>,
}

impl Journal {
    pub(crate) fn at(path: &Path) -> Self {
        let entries = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&entries);
        let receiver = Receiver::at(path, move |bytes, _| {
            kept.lock().unwrap().push(fields(&bytes));
        });
        Self { _receiver: receiver, entries }
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.entries.lock().unwrap().clone()
    }

    pub(crate) fn has(&self, parts: &[&str]) -> bool {
        self.entries().iter().any(|entry| parts.iter().all(|part| entry.contains(part)))
    }
}

/// The fields of an entry, one a line; those with a length in front (systemd's JOURNAL_NATIVE_PROTOCOL) too.
fn fields(mut entry: &[u8]) -> String {
    let mut text = String::new();
    while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&entry[..end], &entry[end + 1..]);
        text.push_str(&String::from_utf8_lossy(line));
        entry = rest;
        if !line.contains(&b'=') {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            text.push('=');
            text.push_str(&String::from_utf8_lossy(&rest[8..8 + length]));
            entry = &rest[8 + length + 1..];
        }
        text.push('\n');
    }
    text
}

/// The service manager: keeps descriptors, and counts who said that it is ready.
#[derive(Debug)]
pub(crate) struct Manager {
    _receiver: Receiver,
    store: Arc<Mutex<BTreeMap<String, OwnedFd>>>,
    ready: Arc<AtomicU64>,
}

impl Manager {
    pub(crate) fn at(path: &Path) -> Self {
        let (store, ready) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicU64::new(0)));
        let (kept, counted) = (Arc::clone(&store), Arc::clone(&ready));
        let receiver = Receiver::at(path, move |bytes, mut files| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if text.lines().any(|line| line == "READY=1") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
            if let (true, Some(name), Some(file)) = (text.contains("FDSTORE=1"), name, files.pop())
            {
                kept.lock().unwrap().insert(name.to_owned(), file);
            }
            // A barrier's descriptor is closed here, which is what its sender waits for.
        });
        Self { _receiver: receiver, store, ready }
    }

    pub(crate) fn ready(&self) -> u64 {
        self.ready.load(Ordering::SeqCst)
    }

    /// Closes what is kept.
    pub(crate) fn forget(&self) {
        self.store.lock().unwrap().clear();
    }

    /// What is kept, with its name; a copy, since it stays here.
    pub(crate) fn kept(&self) -> Option<(String, OwnedFd)> {
        let store = self.store.lock().unwrap();
        store.iter().next().map(|(name, file)| (name.clone(), file.try_clone().unwrap()))
    }
}
