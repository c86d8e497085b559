//! The store itself: `/nix/store` and the database below a root directory.

use crate::disk::{canonicalise, unlock};
use crate::error::ForgeError;
use crate::tree::{SELF, Tree};
use narwarden_core::content_address::{ContentAddress, Method, SelfReference};
use narwarden_core::git_object::GitHasher;
use narwarden_core::hash::{Algorithm, Hash, Hasher, sha256};
use narwarden_core::nar::NarWriter;
use narwarden_core::self_reference::SelfReferenceHasher;
use narwarden_core::sink::ByteSink as _;
use narwarden_core::store_path::StorePath;
use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};

/// Schema 10, as Nix has made it since 2.0.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    PRAGMA foreign_keys = OFF;
    CREATE TABLE ValidPaths (
        id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
        path text UNIQUE NOT NULL,
        hash text NOT NULL,
        registrationTime integer NOT NULL,
        deriver text,
        narSize integer,
        ultimate integer,
        sigs text,
        ca text
    );
    CREATE TABLE Refs (
        referrer integer NOT NULL,
        reference integer NOT NULL,
        PRIMARY KEY (referrer, reference),
        FOREIGN KEY (referrer) REFERENCES ValidPaths(id) ON DELETE CASCADE,
        FOREIGN KEY (reference) REFERENCES ValidPaths(id) ON DELETE RESTRICT
    );
    CREATE INDEX IndexReferrer ON Refs(referrer);
    CREATE INDEX IndexReference ON Refs(reference);
    CREATE TRIGGER DeleteSelfRefs BEFORE DELETE ON ValidPaths BEGIN
        DELETE FROM Refs WHERE referrer = old.id AND reference = old.id;
    END;
    CREATE TABLE DerivationOutputs (
        drv integer NOT NULL,
        id text NOT NULL,
        path text NOT NULL,
        PRIMARY KEY (drv, id),
        FOREIGN KEY (drv) REFERENCES ValidPaths(id) ON DELETE CASCADE
    );
    CREATE INDEX IndexDerivationOutputs ON DerivationOutputs(path);
";

/// Makes a store, and then whatever somebody with write access makes of it.
#[derive(Debug)]
pub struct Forge {
    root: PathBuf,
    connection: Connection,
}

/// What the name of a path follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// From how it was built: here, a hash part that says nothing of the contents.
    Input,
    /// From its contents, like this.
    Content(Method, Algorithm),
    /// From its contents, by the self-reference hash of Nix 2.17 to 2.34.
    LegacySelfReference,
}

impl Forge {
    /// Makes an empty store below `root`.
    ///
    /// # Errors
    /// What the system or SQLite refuse; so a store that is there already.
    pub fn new(root: &Path) -> Result<Self, ForgeError> {
        for directory in ["nix/store", "nix/var/nix/db", "nix/var/nix/profiles"] {
            let directory = root.join(directory);
            fs::create_dir_all(&directory).map_err(ForgeError::io(&directory))?;
        }
        let schema = root.join("nix/var/nix/db/schema");
        fs::write(&schema, "10").map_err(ForgeError::io(&schema))?;
        let connection = Connection::open(root.join("nix/var/nix/db/db.sqlite"))?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { root: root.to_owned(), connection })
    }

    /// The directory that the store is below.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database, for every statement that has no function here. Foreign keys are not enforced.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Where the bytes of `path` lie.
    #[must_use]
    pub fn physical(&self, path: &StorePath) -> PathBuf {
        self.root.join("nix/store").join(path.base_name())
    }

    /// Adds a path, unsigned: writes its tree and registers it. It refers to `references`, and to itself if
    /// [`SELF`] stands in it.
    ///
    /// # Errors
    /// Names and trees that the addressing does not take.
    pub fn add(
        &mut self,
        name: &str,
        tree: &Tree,
        addressing: Addressing,
        references: &[&StorePath],
    ) -> Result<StorePath, ForgeError> {
        let references: Vec<StorePath> = references.iter().map(|it| (*it).clone()).collect();
        let to_itself = to_itself(tree)?;
        let (path, address) = match addressing {
            Addressing::Input => (made_up(name, tree)?, None),
            Addressing::Content(method, algorithm) => {
                let hash = content_hash(name, tree, method, algorithm, Definition::Strict)?;
                let address = ContentAddress { method, hash };
                (address.store_path(name, &references, to_itself)?, Some(address))
            }
            Addressing::LegacySelfReference => {
                let (method, algorithm) = (Method::Nar, Algorithm::Sha256);
                let hash = content_hash(name, tree, method, algorithm, Definition::Legacy)?;
                let address = ContentAddress { method, hash };
                (address.store_path(name, &references, to_itself)?, Some(address))
            }
        };
        let tree = tree.itself_at(path.hash_part());
        let at = self.physical(&path);
        tree.write(&at)?;
        canonicalise(&at)?;
        self.register(&path, &tree, address.as_ref())?;
        for reference in &references {
            self.add_reference(&path, reference)?;
        }
        match to_itself {
            SelfReference::No => {}
            SelfReference::Yes => self.add_reference(&path, &path)?,
        }
        Ok(path)
    }

    /// Lets `change` loose on the bytes of `path`, and leaves metadata behind as Nix does.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn change(
        &mut self,
        path: &StorePath,
        change: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<(), ForgeError> {
        let at = self.physical(path);
        unlock(&at)?;
        change(&at).map_err(ForgeError::io(&at))?;
        if at.symlink_metadata().is_ok() { canonicalise(&at) } else { Ok(()) }
    }

    /// Replaces the bytes of the file `inside` the path; the empty name is the path itself.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn overwrite(
        &mut self,
        path: &StorePath,
        inside: &str,
        contents: &[u8],
    ) -> Result<(), ForgeError> {
        let at = self.file(path, inside);
        self.change(path, |_| fs::write(at, contents))
    }

    /// Where the file `inside` the path lies; the empty name is the path itself.
    #[must_use]
    pub fn file(&self, path: &StorePath, inside: &str) -> PathBuf {
        let root = self.physical(path);
        if inside.is_empty() { root } else { root.join(inside) }
    }
}

/// Which of the two hashes modulo self-references is meant.
#[derive(Clone, Copy)]
enum Definition {
    Strict,
    Legacy,
}

fn to_itself(tree: &Tree) -> Result<SelfReference, ForgeError> {
    let mut finder = NarWriter::new(SelfReferenceHasher::new(SELF, Algorithm::Sha256));
    tree.feed(&mut finder)?;
    let found = finder.finish()?.finish().occurrences;
    Ok(if found > 0 { SelfReference::Yes } else { SelfReference::No })
}

fn made_up(name: &str, tree: &Tree) -> Result<StorePath, ForgeError> {
    let (hash, _) = tree.nar()?;
    Ok(StorePath::make("output:out", &sha256(format!("{name} {hash}").as_bytes()), name)?)
}

fn content_hash(
    name: &str,
    tree: &Tree,
    method: Method,
    algorithm: Algorithm,
    definition: Definition,
) -> Result<Hash, ForgeError> {
    match (method, tree) {
        (Method::Flat | Method::Text, Tree::File { contents, .. }) => {
            let mut hasher = Hasher::new(algorithm);
            hasher.write(contents);
            Ok(hasher.finish())
        }
        (Method::Flat | Method::Text, Tree::Symlink(_) | Tree::Directory(_)) => {
            Err(ForgeError::Addressing { name: name.to_owned() })
        }
        (Method::Git, _) => {
            let mut hasher = GitHasher::new(algorithm)?;
            tree.feed(&mut hasher)?;
            Ok(hasher.finish()?)
        }
        (Method::Nar, _) => {
            let mut writer = NarWriter::new(SelfReferenceHasher::new(SELF, algorithm));
            tree.feed(&mut writer)?;
            let modulo = writer.finish()?.finish();
            match definition {
                Definition::Strict => {
                    modulo.strict.ok_or_else(|| ForgeError::Addressing { name: name.to_owned() })
                }
                Definition::Legacy => Ok(modulo.legacy),
            }
        }
    }
}
