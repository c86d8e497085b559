//! Opening a database that somebody else may be writing to.
//!
//! In WAL mode a committed row may stand in the log for a long time (Nix checkpoints every 40,000 pages), so
//! a reader must see the log. That takes `-shm`, which SQLite creates where it may (wal.html, "Read-Only
//! Databases"). Where this user may not, and the log is empty or absent, the file alone is the truth for as
//! long as it does not change: it is then read as immutable, and compared with itself afterwards. Never
//! otherwise: an immutable database that does have a log gives old rows without an error.

use super::{DatabaseError, Read};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How the database was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// With its log, through SQLite's own locks.
    Live,
    /// As a file that did not change meanwhile, since this user may not take part in the locking.
    Unchanging,
}

/// Why reading did not come to its end.
#[derive(Debug)]
pub(super) enum ReadFailure {
    Sqlite(rusqlite::Error),
    /// There is more than this of something.
    TooLarge(String),
}

impl From<rusqlite::Error> for ReadFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// How long to wait for a daemon that is starting or checkpointing.
const BUSY: Duration = Duration::from_secs(10);
/// Steps of SQLite's machine between looks at the clock. A step may copy a value of the longest length.
const STEPS: i32 = 100;
const TRIES: u32 = 5;
/// Times of files are as coarse as the kernel's tick; a file this old shows every later write.
const SETTLED: Duration = Duration::from_millis(50);

/// When reading is given up, however often it is tried until then.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    patience: Duration,
    /// Never, where the clock does not go as far.
    end: Option<Instant>,
}

impl Deadline {
    fn is_over(self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

pub(super) fn database_file(directory: &Path) -> PathBuf {
    directory.join("db.sqlite")
}

/// Runs `read` in one transaction.
pub(super) fn read<T>(
    directory: &Path,
    patience: Duration,
    read: impl Fn(&Connection) -> Result<T, ReadFailure>,
) -> Result<Read<T>, DatabaseError> {
    // SQLite refuses links anywhere in the name; those above the directory are the operator's business.
    let directory = directory
        .canonicalize()
        .map_err(|error| DatabaseError::Io { path: directory.to_owned(), error })?;
    require_schema(&directory)?;
    let path = database_file(&directory);
    require_regular(&path)?;
    let deadline = Deadline { patience, end: Instant::now().checked_add(patience) };
    match attempt(&path, ReadMode::Live, deadline, &read) {
        Ok(value) => Ok(Read { value, mode: ReadMode::Live }),
        Err(DatabaseError::Sqlite { error, .. }) if not_allowed_to_lock(&error) => {
            read_unchanging(&path, deadline, &read)
        }
        Err(error) => Err(error),
    }
}

fn read_unchanging<T>(
    path: &Path,
    deadline: Deadline,
    read: &impl Fn(&Connection) -> Result<T, ReadFailure>,
) -> Result<Read<T>, DatabaseError> {
    for _ in 0..TRIES {
        let before = State::of(path)?;
        if before.log.is_some_and(|log| log.size > 0) {
            return Err(DatabaseError::LogUnreadable { log: log_file(path) });
        }
        if before.journal.is_some_and(|journal| journal.size > 0) {
            return Err(DatabaseError::Unfinished { journal: journal_file(path) });
        }
        if !before.settled() {
            std::thread::sleep(SETTLED);
            continue;
        }
        let result = attempt(path, ReadMode::Unchanging, deadline, read);
        // A change meanwhile explains any error too, so it is looked for first.
        if State::of(path)? == before {
            return result.map(|value| Read { value, mode: ReadMode::Unchanging });
        }
    }
    Err(DatabaseError::Unsteady { path: path.to_owned(), tries: TRIES })
}

fn attempt<T>(
    path: &Path,
    mode: ReadMode,
    deadline: Deadline,
    read: &impl Fn(&Connection) -> Result<T, ReadFailure>,
) -> Result<T, DatabaseError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            DatabaseError::Endless { path: path.to_owned(), patience: deadline.patience }
        }
        Some(_) | None => DatabaseError::Sqlite { path: path.to_owned(), error },
    };
    let mut connection = open(path, mode, deadline).map_err(failed)?;
    let transaction = connection.transaction().map_err(failed)?;
    for table in ["ValidPaths", "Refs"] {
        if !is_ordinary_table(&transaction, table).map_err(failed)? {
            return Err(DatabaseError::Table { path: path.to_owned(), table });
        }
    }
    read(&transaction).map_err(|failure| match failure {
        ReadFailure::Sqlite(error) => failed(error),
        ReadFailure::TooLarge(what) => DatabaseError::TooLarge { path: path.to_owned(), what },
    })
}

fn open(path: &Path, mode: ReadMode, deadline: Deadline) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_URI;
    let mut connection = Connection::open_with_flags(uri(path, mode), flags)?;
    connection.busy_timeout(BUSY)?;
    // Longer than any column that is read; a value beyond it is an error, not memory.
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 32 << 20)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.progress_handler(STEPS, Some(move || deadline.is_over()))?;
    // The file may be hostile (security.html, "Untrusted SQLite Database Files").
    connection.execute_batch(
        "PRAGMA query_only = 1; PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1; PRAGMA mmap_size = 0;",
    )?;
    Ok(connection)
}

/// The name as a URI (uri.html): every byte that could mean something else is escaped.
fn uri(path: &Path, mode: ReadMode) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str(match mode {
        ReadMode::Live => "?mode=ro",
        ReadMode::Unchanging => "?mode=ro&immutable=1",
    });
    uri
}

/// A view or virtual table could run whatever its author wrote, for as long as they liked.
fn is_ordinary_table(connection: &Connection, table: &str) -> Result<bool, rusqlite::Error> {
    // Nor may a column be computed from an expression (`hidden` is not 0): it is one step, however long.
    let query = "SELECT count(*) = 1 AND NOT EXISTS (SELECT * FROM pragma_table_xinfo(?1) WHERE hidden <> 0) \
                 FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND sql LIKE 'CREATE TABLE %'";
    connection.query_row(query, [table], |row| row.get(0))
}

fn not_allowed_to_lock(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn require_schema(directory: &Path) -> Result<(), DatabaseError> {
    let path = directory.join("schema");
    let mut text = String::new();
    let read = open_regular(&path).and_then(|file| file.take(64).read_to_string(&mut text));
    match read {
        Ok(_) if text.trim() == "10" => Ok(()),
        Ok(_) => Err(DatabaseError::Schema { path, found: text.escape_debug().to_string() }),
        Err(error) => Err(DatabaseError::Io { path, error }),
    }
}

/// Opens a file that will not keep its reader waiting: a FIFO in its place is an error.
fn open_regular(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(std::io::Error::other("it is no regular file"))
}

/// SQLite would wait for whoever writes to a FIFO.
fn require_regular(path: &Path) -> Result<(), DatabaseError> {
    for path in [path.to_owned(), log_file(path), beside(path, "-shm"), journal_file(path)] {
        match path.symlink_metadata() {
            Ok(found) if found.is_file() => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Ok(_) => {
                let error = std::io::Error::other("it is no regular file");
                return Err(DatabaseError::Io { path, error });
            }
            Err(error) => return Err(DatabaseError::Io { path, error }),
        }
    }
    Ok(())
}

fn journal_file(path: &Path) -> PathBuf {
    beside(path, "-journal")
}

fn log_file(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What shows whether somebody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    database: FileState,
    log: Option<FileState>,
    /// Of a writer without a log, who died in the middle: its pages must be rolled back first.
    journal: Option<FileState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(path: &Path) -> Result<Self, DatabaseError> {
        let failed = |path: PathBuf, error| DatabaseError::Io { path, error };
        let database = FileState::of(path).map_err(|error| failed(path.to_owned(), error))?;
        let optional = |path: PathBuf| match FileState::of(&path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(path, error)),
        };
        let (log, journal) = (optional(log_file(path))?, optional(journal_file(path))?);
        Ok(Self { database, log, journal })
    }

    fn settled(self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        [Some(self.database), self.log, self.journal].into_iter().flatten().all(|file| {
            let (seconds, nanoseconds) = file.changed;
            match (u64::try_from(seconds), u32::try_from(nanoseconds)) {
                (Ok(seconds), Ok(nanoseconds)) => {
                    let changed = Duration::new(seconds, nanoseconds);
                    // A time in the future is a clock that was set back, and settles nothing by waiting.
                    changed > now || now - changed > SETTLED
                }
                (_, _) => true,
            }
        })
    }
}

impl FileState {
    fn of(path: &Path) -> std::io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        Ok(Self {
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
