//! Rows of any types and values in the tables of Nix, read as a closure and judged: no panic, and no admission,
//! since nobody signed anything and a content address vouches for no toplevel.
#![no_main]

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use narwarden_core::closure::PathIndex;
use narwarden_core::content_address::{ContentAddress, SelfReference};
use narwarden_core::hash::{Algorithm, Hasher};
use narwarden_core::metadata::Owner;
use narwarden_core::nar::NarWriter;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{BUILT_IN, Policy, Rulebook};
use narwarden_core::sink::{ByteSink as _, Executable, TreeSink as _};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use narwarden_core::verdict::Verdict;
use narwarden_store::{Database, DatabaseError, Location, Options, Progress, judge};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params};

const TRUST: &str = "[keys]\nk = { public = \"k:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\" }\n";

/// What is on disk, and texts that are right or nearly right about it.
struct Known {
    /// The toplevel, a file `x` addressed as a text; an empty directory addressed by its NAR; the same file
    /// addressed flat; and a path that is not there.
    paths: [StorePath; 4],
    texts: Vec<String>,
    sizes: [i64; 3],
    /// Path, hash, size and content address of each path on disk.
    right: [[Sql; 4]; 3],
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let mut file = NarWriter::new(Vec::new());
        file.begin_file(Executable::No, 1).unwrap();
        file.contents(b"x").unwrap();
        file.end_file().unwrap();
        let mut directory = NarWriter::new(Vec::new());
        directory.begin_directory().unwrap();
        directory.end_directory().unwrap();
        let nars = [file.finish().unwrap(), directory.finish().unwrap()];
        let hash = |bytes: &[u8]| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.write(bytes);
            hasher.finish()
        };
        let addresses = [
            format!("text:{}", hash(b"x")),
            format!("fixed:r:{}", hash(&nars[1])),
            format!("fixed:{}", hash(b"x")),
        ];
        let path = |place: usize, name| {
            let address = ContentAddress::parse(&addresses[place]).unwrap();
            address.store_path(name, &[], SelfReference::No).unwrap()
        };
        let absent = StorePath::make("source", &[0; 32], "absent").unwrap();
        let paths = [path(0, "toplevel"), path(1, "directory"), path(2, "flat"), absent];
        let signature = format!("{}==", "A".repeat(86));
        let texts = [
            String::new(),
            hash(&nars[0]).to_base16(),
            hash(&nars[1]).to_sri(),
            hash(b"").to_nix32(),
            "md5:9dd4e461268c8034f5c8564e155c67a6".to_owned(),
            "fixed:git:sha1:9dd4e461268c8034f5c8564e155c67a69dd4e461".to_owned(),
            "k:AAAA".to_owned(),
            format!("k:{signature}"),
            format!("a:{signature} k:x k:{signature} \u{202e}:{signature}"),
        ];
        let right = [(0, 0), (1, 1), (2, 0)].map(|(place, nar): (usize, usize)| {
            [
                Sql::Text(paths[place].to_string()),
                Sql::Text(hash(&nars[nar]).to_base16()),
                Sql::Integer(nars[nar].len() as i64),
                Sql::Text(addresses[place].clone()),
            ]
        });
        let sizes = [0, nars[0].len() as i64, nars[1].len() as i64];
        Known { paths, texts: texts.into_iter().chain(addresses).collect(), sizes, right }
    })
}

#[derive(Arbitrary, Clone, Debug)]
enum Value {
    Null,
    Number(i64),
    Small(u8),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
    Path(u8),
    PathBlob(u8),
    Known(u8),
    Size(u8),
    Long(u16),
}

impl Value {
    fn sql(&self) -> Sql {
        let Known { paths, texts, sizes, .. } = known();
        let path = |which: &u8| paths[usize::from(*which) % paths.len()].to_string();
        match self {
            Self::Null => Sql::Null,
            Self::Number(number) => Sql::Integer(*number),
            Self::Small(number) => Sql::Integer(i64::from(*number % 8)),
            Self::Real(number) => Sql::Real(*number),
            Self::Text(text) => Sql::Text(text.clone()),
            Self::Blob(bytes) => Sql::Blob(bytes.clone()),
            Self::Path(which) => Sql::Text(path(which)),
            Self::PathBlob(which) => Sql::Blob(path(which).into_bytes()),
            Self::Known(which) => Sql::Text(texts[usize::from(*which) % texts.len()].clone()),
            Self::Size(which) => Sql::Integer(sizes[usize::from(*which) % sizes.len()]),
            Self::Long(length) => Sql::Text("x".repeat(usize::from(*length))),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Id {
    Next,
    Small(u8),
    Any(Value),
}

#[derive(Arbitrary, Debug)]
struct Row {
    id: Id,
    /// Path, hash, size and content address of one of the paths on disk, instead of what follows.
    right: Option<u8>,
    path: Value,
    hash: Value,
    nar_size: Value,
    ultimate: Value,
    sigs: Value,
    ca: Value,
}

#[derive(Arbitrary, Debug)]
struct Tables {
    /// Whether values keep the type that they are given, as in tables that somebody made instead of Nix.
    untyped: bool,
    /// Whether the first row is the toplevel's, so that there is a closure.
    toplevel: bool,
    rows: Vec<Row>,
    references: Vec<(Value, Value)>,
}

const TYPED: &str = "
    create table ValidPaths (
        id integer primary key autoincrement not null, path text unique not null, hash text not null,
        registrationTime integer not null, deriver text, narSize integer, ultimate integer, sigs text, ca text);
    create table Refs (referrer integer not null, reference integer not null, primary key (referrer, reference));";
const UNTYPED: &str = "
    CREATE TABLE ValidPaths (id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca);
    CREATE TABLE Refs (referrer, reference);";

struct World {
    directory: tempfile::TempDir,
    rulebook: Rulebook,
    owner: Owner,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = tempfile::tempdir_in(place).unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("nix/store")).unwrap();
        fs::create_dir_all(root.join("nix/var/nix/db")).unwrap();
        fs::write(root.join("nix/var/nix/db/schema"), "10").unwrap();
        let place = |path: &StorePath| root.join("nix/store").join(path.base_name());
        let [toplevel, empty, flat, _] = &known().paths;
        fs::write(place(toplevel), "x").unwrap();
        fs::create_dir(place(empty)).unwrap();
        fs::write(place(flat), "x").unwrap();
        let trust = TrustSet::parse(TRUST).unwrap().trust;
        let ignore = format!("{BUILT_IN}metadata = \"ignore\"\n");
        let rulebook = Policy::parse(&ignore).unwrap().policy.bind(&trust).unwrap().rulebook;
        let found = fs::metadata(root).unwrap();
        let owner = Owner { uid: found.uid(), gid: found.gid() };
        World { directory, rulebook, owner }
    })
}

fn fill(database: &Path, tables: &Tables) -> rusqlite::Result<()> {
    let _ = fs::remove_file(database);
    let connection = Connection::open(database)?;
    connection.execute_batch("PRAGMA synchronous = off; PRAGMA journal_mode = memory; BEGIN;")?;
    connection.execute_batch(if tables.untyped { UNTYPED } else { TYPED })?;
    let mut first = tables.toplevel.then(|| Sql::Text(known().paths[0].to_string()));
    for row in tables.rows.iter().take(32) {
        let id = match &row.id {
            Id::Next => Sql::Null,
            Id::Small(id) => Sql::Integer(i64::from(*id % 8)),
            Id::Any(value) => value.sql(),
        };
        // What the table itself refuses, nobody can have put there.
        let mut values = [&row.path, &row.hash, &row.nar_size, &row.ca].map(Value::sql);
        if let Some(which) = row.right {
            values = known().right[usize::from(which) % 3].clone();
        }
        let [path, hash, nar_size, ca] = values;
        let _ = connection.execute(
            "INSERT INTO ValidPaths (id, path, hash, registrationTime, narSize, ultimate, sigs, ca) \
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7)",
            params![
                id,
                first.take().unwrap_or(path),
                hash,
                nar_size,
                row.ultimate.sql(),
                row.sigs.sql(),
                ca
            ],
        );
    }
    for (referrer, reference) in tables.references.iter().take(64) {
        let _ = connection
            .execute("INSERT INTO Refs VALUES (?1, ?2)", params![referrer.sql(), reference.sql()]);
    }
    connection.execute_batch("COMMIT")
}

fuzz_target!(|tables: Tables| {
    let World { directory, rulebook, owner } = world();
    let location = Location::new(directory.path());
    fill(&location.database_directory().join("db.sqlite"), &tables).unwrap();
    let closure = match Database::at(&location).closure(&known().paths[0]) {
        Ok(read) => read.value,
        // Two rows for one path are a contradiction; nothing else may go wrong with tables that are there.
        Err(DatabaseError::Contradiction { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let options = Options { threads: NonZeroUsize::MIN, owner: *owner, ..Options::default() };
    for scope in [Scope::Closure, Scope::Path(PathIndex::TOPLEVEL)] {
        for contents in [Contents::Measured, Contents::Claimed] {
            let plan = Plan::new(&closure, rulebook, scope, contents, Default::default());
            let judged = judge(&location, &plan, options, &Progress::default());
            assert!(matches!(judged.verdict, Verdict::Deny(_)), "{:?}", judged.verdict);
            let report = judged.report(&plan);
            assert!(!report.findings.is_empty());
            for finding in &report.findings {
                assert!(!finding.detail.contains(char::is_control), "{}", finding.detail);
            }
        }
    }
});
