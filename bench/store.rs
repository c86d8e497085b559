//! `bench-store DIR closure|growth [PERCENT]`: makes a Nix store for `bench/run`, without Nix.
//!
//! `closure` is one generation with the sizes of a real one: 1,258 paths, 5.5 GB; PERCENT takes that share of its
//! bytes and paths. `growth` is one store with many toplevels, the closure of each larger than that of the one
//! before it in one of three ways: paths, files, bytes.
//!
//! Beside `nix/` it leaves `key.pub`, `toplevel` (of `closure`) and `toplevels.json`: `{"axis": …, "size": …,
//! "toplevel": …}`. What it makes follows from its arguments alone.

use narwarden_core::fingerprint::fingerprint;
use narwarden_core::hash::{Algorithm, Hasher, NarHash, sha256};
use narwarden_core::nar::NarWriter;
use narwarden_core::sink::{Counting, Executable, TreeSink as _};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Forge, Signer, canonicalise};
use rusqlite::params;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::num::NonZeroU64;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Quantiles = [(f64, f64)];

/// Quantiles of the sizes of NARs and of files, measured on a closure that was made of the packages of a whole
/// Debian; between them the logarithm is linear.
const NARS: &Quantiles = &[
    (0.0, 600.0),
    (0.33, 2_500.0),
    (0.5, 81e3),
    (0.9, 3.3e6),
    (0.959, 16e6),
    (0.985, 64e6),
    (0.992, 128e6),
    (1.0, 628e6),
];
const FILES: &Quantiles = &[
    (0.0, 40.0),
    (0.25, 734.0),
    (0.5, 1.7e3),
    (0.75, 6.1e3),
    (0.9, 23e3),
    (0.99, 246e3),
    (1.0, 1_048_576.0),
];
const PATHS: u64 = 1_258;
/// A NAR as large as this is for the most part one large file in three: a library, a kernel, an archive.
const LARGE_NAR: u64 = 2 << 20;
const FILES_A_DIRECTORY: usize = 5;
const FARM_LINKS: u64 = 15_000;
const MOST_REFERENCES: u64 = 9;
const CHUNK: usize = 64 << 10;

/// Numbers that are the same on every machine: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        for eight in buffer.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes());
        }
    }

    fn size(&mut self, quantiles: &Quantiles) -> u64 {
        quantile(quantiles, self.below(1_000_000) as f64 / 1e6)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes below 2^53")]
fn quantile(quantiles: &Quantiles, at: f64) -> u64 {
    let mut pairs = quantiles.iter().zip(quantiles.iter().skip(1));
    let Some(((from, low), (to, high))) = pairs.find(|(_, (upper, _))| at <= *upper) else {
        return 0;
    };
    (low.ln() + (high.ln() - low.ln()) * (at - from) / (to - from)).exp() as u64
}

/// What is registered, by its number.
struct Registered {
    path: StorePath,
    row: i64,
}

struct Maker {
    forge: Forge,
    signer: Signer,
    random: Random,
    paths: Vec<Registered>,
    chunk: Vec<u8>,
}

/// What a path holds: files of these sizes, and links to these paths.
struct Contents<'a> {
    files: &'a [u64],
    links: &'a [String],
}

impl Maker {
    fn new(root: &Path) -> Result<Self> {
        let forge = Forge::new(root)?;
        forge.connection().execute_batch("BEGIN")?;
        let signer = Signer::new("bench-1", 7);
        fs::write(root.join("key.pub"), signer.public_key())?;
        let random = Random(0x9E37_79B9_7F4A_7C15);
        Ok(Self { forge, signer, random, paths: Vec::new(), chunk: vec![0; CHUNK] })
    }

    /// Adds a path that refers to others by their numbers; gives back its own.
    fn add(&mut self, name: &str, contents: &Contents<'_>, references: &[usize]) -> Result<usize> {
        let path = StorePath::make("output:out", &sha256(name.as_bytes()), name)?;
        let at = self.forge.physical(&path);
        let mut nar = NarWriter::new(Counting::new(Hasher::new(Algorithm::Sha256)));
        fs::create_dir(&at)?;
        nar.begin_directory()?;
        for (number, files) in contents.files.chunks(FILES_A_DIRECTORY).enumerate() {
            let directory = format!("d{number:06}");
            fs::create_dir(at.join(&directory))?;
            nar.begin_entry(directory.as_bytes())?;
            nar.begin_directory()?;
            for (number, size) in files.iter().enumerate() {
                let name = format!("f{number}");
                nar.begin_entry(name.as_bytes())?;
                self.file(&at.join(&directory).join(&name), *size, &mut nar)?;
                nar.end_entry()?;
            }
            nar.end_directory()?;
            nar.end_entry()?;
        }
        for (number, target) in contents.links.iter().enumerate() {
            let name = format!("l{number:06}");
            symlink(target, at.join(&name))?;
            nar.begin_entry(name.as_bytes())?;
            nar.symlink(target.as_bytes())?;
            nar.end_entry()?;
        }
        nar.end_directory()?;
        canonicalise(&at)?;
        let counted = nar.finish()?;
        let size = counted.count();
        self.register(path, NarHash::try_from(counted.into_inner().finish())?, size, references)
    }

    fn file(&mut self, at: &Path, size: u64, nar: &mut NarWriter<Counting<Hasher>>) -> Result<()> {
        let executable = if self.random.below(20) == 0 { Executable::Yes } else { Executable::No };
        let mode = if executable == Executable::Yes { 0o555 } else { 0o444 };
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(at)?;
        nar.begin_file(executable, size)?;
        let mut left = size;
        while left > 0 {
            let length = usize::try_from(left)?.min(CHUNK);
            let chunk = self.chunk.get_mut(..length.next_multiple_of(8)).unwrap_or_default();
            self.random.fill(chunk);
            let chunk = chunk.get(..length).unwrap_or_default();
            nar.contents(chunk)?;
            file.write_all(chunk)?;
            left -= length as u64;
        }
        Ok(nar.end_file()?)
    }

    fn register(
        &mut self,
        path: StorePath,
        hash: NarHash,
        size: u64,
        references: &[usize],
    ) -> Result<usize> {
        let targets: Vec<&Registered> =
            references.iter().filter_map(|number| self.paths.get(*number)).collect();
        let names: Vec<StorePath> = targets.iter().map(|it| it.path.clone()).collect();
        let size = NonZeroU64::new(size).ok_or("a NAR without bytes")?;
        let signature = self.signer.sign(&fingerprint(&path, &hash, size, &names));
        let connection = self.forge.connection();
        connection
            .prepare_cached(
                "INSERT INTO ValidPaths (path, hash, registrationTime, narSize, sigs) \
                 VALUES (?1, ?2, 1700000000, ?3, ?4)",
            )?
            .execute(params![
                path.to_string(),
                hash.to_base16(),
                size.get().cast_signed(),
                signature
            ])?;
        let row = connection.last_insert_rowid();
        let mut refer = connection.prepare_cached("INSERT OR IGNORE INTO Refs VALUES (?1, ?2)")?;
        for target in targets {
            refer.execute([row, target.row])?;
        }
        drop(refer);
        self.paths.push(Registered { path, row });
        Ok(self.paths.len() - 1)
    }

    /// A toplevel of these paths.
    fn toplevel(&mut self, name: &str, references: &[usize]) -> Result<String> {
        let links: Vec<String> = references
            .iter()
            .take(20)
            .filter_map(|number| self.paths.get(*number))
            .map(|it| it.path.to_string())
            .collect();
        let number = self.add(name, &Contents { files: &[600], links: &links }, references)?;
        Ok(self.paths.get(number).ok_or("no toplevel")?.path.to_string())
    }

    /// Some that are there already, the first more often than others, as libc is.
    fn references(&mut self) -> Vec<usize> {
        let there = self.paths.len() as u64;
        let mut chosen = Vec::new();
        if there > 0 {
            chosen.push(0);
            for _ in 0..self.random.below(MOST_REFERENCES) {
                chosen.push(usize::try_from(self.random.below(there)).unwrap_or_default());
            }
        }
        chosen
    }

    /// Sizes of the files of a NAR of about this size.
    fn files(&mut self, nar: u64) -> Vec<u64> {
        let mut left = nar;
        let mut sizes = Vec::new();
        if nar >= LARGE_NAR {
            // Three in four bytes, in a few files that halve in size.
            let mut large = nar / 8 * 3;
            while large > 1 << 20 && sizes.len() < 12 {
                sizes.push(large);
                left = left.saturating_sub(large);
                large /= 2;
            }
        }
        while left > 0 {
            let size = self.random.size(FILES).min(left);
            sizes.push(size);
            left -= size;
        }
        sizes
    }
}

fn closure(root: &Path, percent: u64) -> Result<()> {
    let mut maker = Maker::new(root)?;
    let paths = (PATHS * percent / 100).max(20);
    // Largest and smallest in an order of no meaning; the sizes themselves are those of the table, without chance.
    for number in 0..paths {
        let rank = (number * 7 + 3) % paths;
        let nar = quantile(NARS, (rank as f64 + 0.5) / paths as f64) * percent.clamp(10, 100) / 100;
        let files = maker.files(nar);
        let references = maker.references();
        maker.add(
            &format!("package-{number}"),
            &Contents { files: &files, links: &[] },
            &references,
        )?;
    }
    let all: Vec<usize> = (0..maker.paths.len()).collect();
    let links: Vec<String> = (0..FARM_LINKS * percent / 100)
        .zip(all.iter().cycle())
        .filter_map(|(number, path)| {
            let path = &maker.paths.get(*path)?.path;
            Some(format!("{path}/d000000/f{}", number % 5))
        })
        .collect();
    let farm = maker.add("system-path", &Contents { files: &[], links: &links }, &all)?;
    let toplevel = maker.toplevel("nixos-system-bench-26.05", &[&all[..], &[farm]].concat())?;
    maker.forge.connection().execute_batch("COMMIT")?;
    Ok(fs::write(root.join("toplevel"), format!("{toplevel}\n"))?)
}

/// What a closure of the growth curve has, if it has `size` of what its axis counts.
struct Step {
    axis: &'static str,
    size: u64,
    paths: u64,
    files: u64,
    bytes: u64,
}

fn steps(percent: u64) -> Vec<Step> {
    let scaled = |size: u64| size * percent / 100;
    let paths = [100, 300, 1_000, 3_000, 10_000].map(scaled).map(|size| Step {
        axis: "paths",
        size,
        paths: size,
        files: size * 10,
        bytes: size * 10 * 1_000,
    });
    let files = [1_000, 10_000, 100_000, 1_000_000].map(scaled).map(|size| Step {
        axis: "files",
        size,
        paths: 100,
        files: size.max(100),
        bytes: size.max(100) * 1_000,
    });
    let bytes = [100_000_000, 300_000_000, 1_000_000_000, 3_000_000_000]
        .map(scaled)
        .map(|size| Step { axis: "bytes", size, paths: 64, files: 64, bytes: size });
    paths.into_iter().chain(files).chain(bytes).collect()
}

fn growth(root: &Path, percent: u64) -> Result<()> {
    let mut maker = Maker::new(root)?;
    let mut listed = Vec::new();
    for Step { axis, size, paths, files, bytes } in steps(percent) {
        let first = maker.paths.len();
        let sizes = vec![bytes / files; usize::try_from(files / paths)?];
        for number in 0..paths {
            // A chain of halves: long enough to be followed, and each path is referred to.
            let references: Vec<usize> = match usize::try_from(number)? {
                0 => Vec::new(),
                number => vec![first + number / 2, first + number - 1],
            };
            let contents = Contents { files: &sizes, links: &[] };
            maker.add(&format!("{axis}-{size}-{number}"), &contents, &references)?;
        }
        let members: Vec<usize> = (first..maker.paths.len()).collect();
        let toplevel = maker.toplevel(&format!("nixos-system-{axis}-{size}"), &members)?;
        let mut line = String::new();
        write!(line, r#"{{"axis": "{axis}", "size": {size}, "paths": {}, "#, paths + 1)?;
        write!(line, r#""files": {files}, "bytes": {bytes}, "toplevel": "{toplevel}"}}"#)?;
        listed.push(line);
    }
    maker.forge.connection().execute_batch("COMMIT")?;
    Ok(fs::write(root.join("toplevels.json"), format!("[\n{}\n]\n", listed.join(",\n")))?)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(root), Some(what)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench-store DIR closure|growth [PERCENT]".into());
    };
    let root = PathBuf::from(root);
    let percent = arguments.next().map_or(Ok(100), |text| text.parse::<u64>())?.clamp(1, 100);
    match what.as_str() {
        "closure" => closure(&root, percent),
        "growth" => growth(&root, percent),
        other => Err(format!("{other}: neither closure nor growth").into()),
    }
}
