//! The store that Nix 2.8.0 made, unpacked: 125 paths with what each must come out as, a third of them
//! altered after signing. `INDEX.md` in `nix28-store.tar` says what is in it. Included by the tests of several
//! crates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Fixture {
    scratch: tempfile::TempDir,
}

impl Fixture {
    /// Unpacks with `tar`, which keeps modes, times, hard links and names that are no UTF-8.
    pub(crate) fn unpack() -> Self {
        let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/vectors/nix28-store.tar")
            .canonicalize()
            .unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let mut tar = Command::new("tar");
        let tar = tar.arg("-xpf").arg(archive).arg("-C").arg(scratch.path()).status().unwrap();
        assert!(tar.success(), "tar: {tar}");
        Self { scratch }
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.scratch.path().join("nix28-store").join(name)
    }

    /// Has `nix/store` and `nix/var` below it.
    pub(crate) fn root(&self) -> PathBuf {
        self.inside("root")
    }

    /// The rows of a table, by column.
    pub(crate) fn rows<const COLUMNS: usize>(&self, table: &str) -> Vec<[String; COLUMNS]> {
        let text = fs::read_to_string(self.inside(table)).unwrap();
        let row = |line: &str| -> [String; COLUMNS] {
            let columns: Vec<_> = line.split('\t').map(str::to_owned).collect();
            columns.try_into().unwrap()
        };
        text.lines().skip(1).map(row).collect()
    }

    /// A public key.
    #[allow(dead_code, reason = "not every test needs keys")]
    pub(crate) fn key(&self, name: &str) -> String {
        let text = fs::read_to_string(self.inside("keys").join(format!("{name}.pub"))).unwrap();
        text.trim().to_owned()
    }
}

impl Drop for Fixture {
    /// Directories of a store are read-only, so without this nobody but root could remove them.
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.scratch.path()).status();
    }
}
