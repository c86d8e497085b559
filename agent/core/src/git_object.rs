//! The git object id of a file tree, which `fixed:git:` content addresses commit to.
//!
//! ```text
//! blob  = "blob " size NUL contents              ; a link is the blob of its target
//! tree  = "tree " size NUL entry*
//! entry = mode " " name NUL <raw object id>
//! mode  = "100644" | "100755" | "120000" | "40000"
//! ```
//!
//! Entries are sorted as if the names of directories ended in `/`; unlike git itself, Nix keeps empty
//! directories. The id of a root has no mode: a file has the same one whether it is executable or
//! not. An open directory is kept in memory, entry by entry.
//! Source: Nix manual, "File System Object Content Addressing", Git; Git manual, "Git Internals - Git
//! Objects"; Nix `src/libutil/git.cc`.

use core::mem;

use crate::hash::{Algorithm, Hash, Hasher};
use crate::sink::{ByteSink, Executable, TreeError, TreeGrammar, TreeSink};

/// Computes the git object id of the tree it is fed.
#[derive(Debug)]
pub struct GitHasher {
    algorithm: Algorithm,
    grammar: TreeGrammar,
    /// The open directories, outermost first.
    directories: Vec<Vec<Entry>>,
    /// The open file.
    blob: Hasher,
    mode: Mode,
    /// The id of the root, once that has ended.
    root: Option<Hash>,
}

#[derive(Debug)]
struct Entry {
    mode: Mode,
    name: Box<[u8]>,
    id: Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Directory,
    Executable,
    Link,
    Regular,
}

impl Mode {
    const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Directory => b"40000",
            Self::Executable => b"100755",
            Self::Link => b"120000",
            Self::Regular => b"100644",
        }
    }
}

impl Entry {
    fn sort_key(&self) -> impl Iterator<Item = &u8> {
        let slash = (self.mode == Mode::Directory).then_some(&b'/');
        self.name.iter().chain(slash)
    }

    fn parts(&self) -> [&[u8]; 5] {
        [self.mode.as_bytes(), b" ", &self.name, b"\0", self.id.as_bytes()]
    }
}

impl GitHasher {
    /// Nothing fed yet. Git knows SHA-1 and SHA-256.
    pub fn new(algorithm: Algorithm) -> Result<Self, GitError> {
        match algorithm {
            Algorithm::Sha1 | Algorithm::Sha256 => Ok(Self {
                algorithm,
                grammar: TreeGrammar::default(),
                directories: Vec::new(),
                blob: Hasher::new(algorithm),
                mode: Mode::Regular,
                root: None,
            }),
            Algorithm::Blake3 | Algorithm::Md5 | Algorithm::Sha512 => {
                Err(GitError::Algorithm(algorithm))
            }
        }
    }

    /// The object id of the root, if the tree is whole.
    pub fn finish(self) -> Result<Hash, GitError> {
        self.grammar.finish()?;
        self.root.ok_or(GitError::Tree(TreeError::Unfinished))
    }

    fn begin_object(&self, kind: &str, size: u64) -> Hasher {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.write(format!("{kind} {size}\0").as_bytes());
        hasher
    }

    /// Called once the grammar has closed the object, so that its latest name is the object's own.
    fn end_object(&mut self, mode: Mode, object: Hasher) {
        let id = object.finish();
        match self.directories.last_mut() {
            Some(directory) => {
                directory.push(Entry { mode, name: self.grammar.entry_name().into(), id });
            }
            None => self.root = Some(id),
        }
    }
}

impl TreeSink for GitHasher {
    type Error = GitError;

    fn begin_directory(&mut self) -> Result<(), GitError> {
        self.grammar.begin_directory()?;
        self.directories.push(Vec::new());
        Ok(())
    }

    fn begin_entry(&mut self, name: &[u8]) -> Result<(), GitError> {
        Ok(self.grammar.begin_entry(name)?)
    }

    fn end_entry(&mut self) -> Result<(), GitError> {
        Ok(self.grammar.end_entry()?)
    }

    fn end_directory(&mut self) -> Result<(), GitError> {
        self.grammar.end_directory()?;
        let mut entries = self.directories.pop().unwrap_or_default();
        entries.sort_unstable_by(|one, other| one.sort_key().cmp(other.sort_key()));
        let parts = || entries.iter().flat_map(Entry::parts);
        let mut tree = self.begin_object("tree", parts().map(|part| part.len() as u64).sum());
        parts().for_each(|part| tree.write(part));
        self.end_object(Mode::Directory, tree);
        Ok(())
    }

    fn begin_file(&mut self, executable: Executable, size: u64) -> Result<(), GitError> {
        self.grammar.begin_file(executable, size)?;
        self.blob = self.begin_object("blob", size);
        self.mode = match executable {
            Executable::No => Mode::Regular,
            Executable::Yes => Mode::Executable,
        };
        Ok(())
    }

    fn contents(&mut self, bytes: &[u8]) -> Result<(), GitError> {
        self.grammar.contents(bytes)?;
        self.blob.write(bytes);
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), GitError> {
        self.grammar.end_file()?;
        let blob = mem::replace(&mut self.blob, Hasher::new(self.algorithm));
        self.end_object(self.mode, blob);
        Ok(())
    }

    fn symlink(&mut self, target: &[u8]) -> Result<(), GitError> {
        self.grammar.symlink(target)?;
        let mut blob = self.begin_object("blob", target.len() as u64);
        blob.write(target);
        self.end_object(Mode::Link, blob);
        Ok(())
    }
}

/// Why there is no git object id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// Git has no objects of this algorithm.
    #[error("git has no {0} objects")]
    Algorithm(Algorithm),
    /// The events are not a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_TREE: &str = "sha1:4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn id(feed: impl FnOnce(&mut GitHasher) -> Result<(), GitError>) -> Result<String, GitError> {
        let mut hasher = GitHasher::new(Algorithm::Sha1)?;
        feed(&mut hasher)?;
        Ok(hasher.finish()?.to_base16())
    }

    fn file(hasher: &mut GitHasher, executable: Executable) -> Result<(), GitError> {
        hasher.begin_file(executable, 6)?;
        hasher.contents(b"hel")?;
        hasher.contents(b"lo\n")?;
        hasher.end_file()
    }

    #[test]
    fn misuse_is_refused() {
        for algorithm in [Algorithm::Blake3, Algorithm::Md5, Algorithm::Sha512] {
            assert_eq!(GitHasher::new(algorithm).unwrap_err(), GitError::Algorithm(algorithm));
        }
        assert_eq!(id(|_| Ok(())), Err(TreeError::Unfinished.into()));
        assert_eq!(id(|git| git.begin_directory()), Err(TreeError::Unfinished.into()));
        let refused = id(|git| {
            git.begin_directory()?;
            git.begin_entry(b"a/b").unwrap_err();
            let _ = git.end_directory();
            Ok(())
        });
        assert_eq!(refused, Err(TreeError::Refused.into()));
    }

    // The ids of this module come from `git hash-object` and `git mktree`.
    #[test]
    fn ids_of_roots() {
        let blob = "sha1:ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(id(|git| file(git, Executable::No)).unwrap(), blob);
        assert_eq!(id(|git| file(git, Executable::Yes)).unwrap(), blob);
        assert_eq!(id(|git| git.symlink(b"hello\n")).unwrap(), blob);
        let empty = id(|git| git.begin_directory().and_then(|()| git.end_directory()));
        assert_eq!(empty.unwrap(), EMPTY_TREE);
    }

    #[test]
    fn directories_sort_with_a_slash() {
        let tree = id(|git| {
            git.begin_directory()?;
            git.begin_entry(b"a")?;
            git.begin_directory()?;
            git.end_directory()?;
            git.end_entry()?;
            for (name, executable) in [(b"a.b", Executable::Yes), (b"a0b", Executable::No)] {
                git.begin_entry(name)?;
                file(git, executable)?;
                git.end_entry()?;
            }
            git.begin_entry(b"l")?;
            git.symlink(b"hello\n")?;
            git.end_entry()?;
            git.end_directory()
        });
        assert_eq!(tree.unwrap(), "sha1:5ba8ebc7bb0025fab924ab2ecfa64a24abf166c2");
    }
}
