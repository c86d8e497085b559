//! `bench-floors WHAT …`: what this machine can do at best, for `bench/run` to hold the warden against.
//!
//! - `read DIR THREADS`: walks the store below DIR, stats and reads every file, computes nothing
//! - `list DIR FILE`: writes the names of everything below DIR into FILE, for:
//! - `stat DIR THREADS FILE`: asks for the metadata of each of them by name, and lists nothing
//! - `disk DIR THREADS`: reads its largest files past the page cache (`O_DIRECT`), 1 MiB at a time
//! - `hash`: every kernel of this processor, on one core and on all
//! - `sign`: checks signatures
//!
//! The first three print what they saw; the time they took is for the caller to measure. The others print rates: of the
//! disk by the clock, the others by processor time.

use narwarden_core::signature::{PublicKey, Signature};
use narwarden_forge::ci;
use narwarden_sha256::{Compressor, Kernel, Lane, Sha256};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::read;
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::ffi::{CStr, OsStr};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BUFFER: usize = 64 << 10;
const DIRECT: usize = 1 << 20;
/// What `O_DIRECT` may ask of a buffer and an offset.
const ALIGNMENT: usize = 4096;
const FOR_DISK: u64 = 6 << 30;
const LONG_ENOUGH: Duration = Duration::from_millis(100);
const TRIES: usize = 5;

/// Directories that nobody has taken yet, and how many were not finished.
struct Queue {
    directories: Mutex<Vec<PathBuf>>,
    unfinished: AtomicUsize,
}

#[derive(Default)]
struct Seen {
    nodes: AtomicU64,
    bytes: AtomicU64,
    blocks: AtomicU64,
}

fn walk(root: &Path, threads: usize) -> Result<String> {
    let queue =
        Queue { directories: Mutex::new(vec![root.to_owned()]), unfinished: AtomicUsize::new(1) };
    let seen = Seen::default();
    let work = || -> rustix::io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while queue.unfinished.load(Ordering::Acquire) > 0 {
            let taken = queue.directories.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match taken {
                Some(directory) => {
                    visit(&directory, &queue, &seen, &mut buffer)?;
                    queue.unfinished.fetch_sub(1, Ordering::Release);
                }
                None => std::thread::sleep(Duration::from_micros(50)),
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| -> Result<()> {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })?;
    let [nodes, bytes, blocks] =
        [&seen.nodes, &seen.bytes, &seen.blocks].map(|it| it.load(Ordering::Relaxed));
    Ok(format!(r#"{{"nodes": {nodes}, "bytes": {bytes}, "disk_bytes": {}}}"#, blocks * 512))
}

fn visit(at: &Path, queue: &Queue, seen: &Seen, buffer: &mut [u8]) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(CWD, at, flags, Mode::empty())?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        seen.nodes.fetch_add(1, Ordering::Relaxed);
        seen.blocks.fetch_add(found.st_blocks.cast_unsigned(), Ordering::Relaxed);
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind == FileType::Directory {
            queue.unfinished.fetch_add(1, Ordering::AcqRel);
            let below = at.join(OsStr::from_bytes(name.to_bytes()));
            queue.directories.lock().unwrap_or_else(PoisonError::into_inner).push(below);
        } else if kind == FileType::RegularFile {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&directory, name, flags, Mode::empty())?;
            loop {
                match read(&file, &mut *buffer)? {
                    0 => break,
                    length => seen.bytes.fetch_add(length as u64, Ordering::Relaxed),
                };
            }
        }
    }
    Ok(())
}

/// Writes what is below `root`, each name with a NUL behind it.
fn list(root: &Path, into: &Path) -> Result<String> {
    let (mut names, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            names.extend_from_slice(path.strip_prefix(root)?.as_os_str().as_bytes());
            names.push(0);
            if entry.file_type()?.is_dir() {
                open.push(path);
            }
        }
    }
    std::fs::write(into, &names)?;
    Ok(format!(r#"{{"bytes": {}}}"#, names.len()))
}

/// How many names a thread takes at a time.
const NAMES: usize = 512;

fn stat(root: &Path, threads: usize, names: &Path) -> Result<String> {
    let names = std::fs::read(names)?;
    let names: Vec<&CStr> = names
        .split_inclusive(|&byte| byte == 0)
        .map(CStr::from_bytes_with_nul)
        .collect::<std::result::Result<_, _>>()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, root, flags, Mode::empty())?;
    let chunks: Vec<_> = names.chunks(NAMES).collect();
    let next = AtomicUsize::new(0);
    let work = || -> rustix::io::Result<()> {
        while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            for name in *chunk {
                std::hint::black_box(statat(&root, *name, AtFlags::SYMLINK_NOFOLLOW)?);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| -> Result<()> {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })?;
    Ok(format!(r#"{{"nodes": {}}}"#, names.len()))
}

/// Regular files of at least a megabyte, largest first.
fn large_files(root: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let (mut files, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                open.push(entry.path());
            } else if found.is_file() && found.len() >= DIRECT as u64 {
                files.push((found.len(), entry.path()));
            }
        }
    }
    files.sort_unstable();
    files.reverse();
    Ok(files)
}

fn disk(root: &Path, threads: usize) -> Result<String> {
    let (files, next, total) = (large_files(root)?, AtomicUsize::new(0), AtomicU64::new(0));
    let work = || -> rustix::io::Result<()> {
        let mut memory = vec![0_u8; DIRECT + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let buffer = memory.get_mut(start..start + DIRECT).unwrap_or_default();
        while let Some((_, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if total.load(Ordering::Relaxed) > FOR_DISK {
                break;
            }
            let file = openat(
                CWD,
                path,
                OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            loop {
                let length = read(&file, &mut *buffer)?;
                total.fetch_add(length as u64, Ordering::Relaxed);
                if length < DIRECT {
                    break;
                }
            }
        }
        Ok(())
    };
    let begin = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })?;
    let (total, seconds) = (total.into_inner(), begin.elapsed().as_secs_f64());
    Ok(format!(
        r#"{{"bytes": {total}, "bytes_per_second": {:.0}}}"#,
        total as f64 / seconds.max(1e-9)
    ))
}

/// Processor time of this thread: others cannot take from it, only slow down what shares a core or a cache.
fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Bytes per second of one core with this kernel: the best of some tries, since what disturbs only slows down.
fn rate(kernel: Kernel) -> f64 {
    let compressor = Compressor::with(&[kernel]);
    let texts = vec![vec![0x5a_u8; BUFFER]; kernel.lanes()];
    let mut best = 0.0_f64;
    for _ in 0..TRIES {
        let mut streams = vec![Sha256::new(); kernel.lanes()];
        let (begin, mut bytes, mut spent) = (thread_time(), 0_u64, Duration::ZERO);
        while spent < LONG_ENOUGH {
            let lanes =
                streams.iter_mut().zip(&texts).map(|(stream, text)| Lane::split(stream, text));
            let mut lanes: Vec<_> = lanes.map(|(lane, _)| lane).collect();
            compressor.update(&mut lanes);
            bytes += (BUFFER * kernel.lanes()) as u64;
            spent = thread_time().saturating_sub(begin);
        }
        best = best.max(bytes as f64 / spent.as_secs_f64());
    }
    best
}

fn hash() -> Result<String> {
    let threads = std::thread::available_parallelism()?.get();
    let mut parts = Vec::new();
    for kernel in Kernel::ALL.iter().copied().filter(|it| it.is_available()) {
        let one = rate(kernel);
        let all: f64 = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(move || rate(kernel))).collect();
            running.into_iter().filter_map(|it| it.join().ok()).sum()
        });
        parts.push(format!(
            r#""{}": {{"lanes": {}, "one": {one:.0}, "all": {all:.0}}}"#,
            kernel.name(),
            kernel.lanes()
        ));
    }
    Ok(format!("{{{}}}", parts.join(", ")))
}

fn sign() -> Result<String> {
    let message = "1;/nix/store/".repeat(40);
    let key = PublicKey::parse(&ci().public_key())?;
    let signature = Signature::parse(&ci().sign(&message))?;
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let (begin, mut number, mut spent) = (thread_time(), 0_u32, Duration::ZERO);
        while spent < LONG_ENOUGH {
            if !key.verifies(std::hint::black_box(message.as_bytes()), &signature) {
                return Err("a good signature is none".into());
            }
            number += 1;
            spent = thread_time().saturating_sub(begin);
        }
        best = best.min(spent.as_secs_f64() / f64::from(number));
    }
    Ok(format!(r#"{{"seconds": {best:.9}}}"#))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments.as_slice() {
        ["read", root, threads] => walk(Path::new(root), threads.parse()?)?,
        ["list", root, into] => list(Path::new(root), Path::new(into))?,
        ["stat", root, threads, names] => {
            stat(Path::new(root), threads.parse()?, Path::new(names))?
        }
        ["disk", root, threads] => disk(Path::new(root), threads.parse()?)?,
        ["hash"] => hash()?,
        ["sign"] => sign()?,
        _ => return Err("usage: bench-floors read|disk DIR THREADS; list DIR FILE; stat DIR THREADS FILE; hash; sign".into()),
    };
    Ok(writeln!(std::io::stdout(), "{answer}")?)
}
