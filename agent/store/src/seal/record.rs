//! One seal as bytes: of which path, what was measured, by which question, and what its tree looked like.
//!
//! ```text
//! record   = name ask nar-hash[32] nar-size:u64 content tree[32] names
//! name     = length:u16 base-name
//! ask      = 0 | ( 1 | 2 | 3 | 4 ) algorithm   ; nothing, file, NAR, NAR without its own hash part, git
//! content  = 0 | 1 executable:u8 hash? hash?   ; strict and legacy
//! hash?    = 0 | 1 algorithm bytes
//! names    = 0 | 1 entry*
//! ```

use super::bytes::Bytes;
use super::tree::DIGEST;
use narwarden_core::content_address::SelfReference;
use narwarden_core::evidence::{Evidence, MeasuredContent, MeasuredMetadata};
use narwarden_core::hash::{Algorithm, Hash, NarHash};
use narwarden_core::plan::ContentAsk;
use narwarden_core::sink::Executable;
use std::num::NonZeroU64;

/// The names of a tree, as far as they were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names<'a> {
    /// They are too many: directories are to be listed.
    NotKept,
    /// As entries, in the order of the digest.
    Kept(&'a [u8]),
}

/// A seal.
#[derive(Clone, Debug)]
pub(super) struct Record<'a> {
    pub(super) base_name: &'a str,
    pub(super) ask: ContentAsk,
    pub(super) evidence: Evidence,
    pub(super) tree: [u8; DIGEST],
    pub(super) names: Names<'a>,
}

impl<'a> Record<'a> {
    /// Appends the record to `out`; `None` where it holds what no seal may say, and `out` is then to be thrown away.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Option<()> {
        let Self { base_name, ask, evidence, tree, names } = self;
        let Evidence { nar_hash, nar_size, content, metadata } = evidence;
        // What deviates is refused each time, and looked at each time for what it is.
        if metadata.total() > 0 {
            return None;
        }
        out.extend_from_slice(&u16::try_from(base_name.len()).ok()?.to_le_bytes());
        out.extend_from_slice(base_name.as_bytes());
        put_ask(*ask, out);
        out.extend_from_slice(nar_hash.as_bytes());
        out.extend_from_slice(&nar_size.get().to_le_bytes());
        match content {
            MeasuredContent::NotAsked => out.push(0),
            MeasuredContent::Hash { strict, legacy, executable } => {
                out.extend_from_slice(&[1, executable_code(*executable)]);
                put_hash(strict.as_ref(), out);
                put_hash(legacy.as_ref(), out);
            }
            MeasuredContent::NotARegularFile => return None,
        }
        out.extend_from_slice(tree);
        match names {
            Names::NotKept => out.push(0),
            Names::Kept(entries) => {
                out.push(1);
                out.extend_from_slice(entries);
            }
        }
        Some(())
    }

    /// Reads a record that fills all of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let length = bytes.u16()?;
        let base_name = str::from_utf8(bytes.take(length.into())?).ok()?;
        let ask = read_ask(&mut bytes)?;
        let nar_hash = NarHash::from_bytes(bytes.array()?);
        let nar_size = NonZeroU64::new(bytes.u64()?)?;
        let content = match bytes.u8()? {
            0 => MeasuredContent::NotAsked,
            1 => MeasuredContent::Hash {
                executable: read_executable(bytes.u8()?)?,
                strict: read_hash(&mut bytes)?,
                legacy: read_hash(&mut bytes)?,
            },
            _ => return None,
        };
        let tree = bytes.array()?;
        let names = match bytes.u8()? {
            0 if bytes.is_empty() => Names::NotKept,
            1 => Names::Kept(bytes.0),
            _ => return None,
        };
        let metadata = MeasuredMetadata::default();
        let evidence = Evidence { nar_hash, nar_size, content, metadata };
        Some(Self { base_name, ask, evidence, tree, names })
    }
}

fn put_ask(ask: ContentAsk, out: &mut Vec<u8>) {
    match ask {
        ContentAsk::Nothing => out.push(0),
        ContentAsk::File(algorithm) => out.extend_from_slice(&[1, algorithm_code(algorithm)]),
        ContentAsk::Nar(algorithm, SelfReference::No) => {
            out.extend_from_slice(&[2, algorithm_code(algorithm)]);
        }
        ContentAsk::Nar(algorithm, SelfReference::Yes) => {
            out.extend_from_slice(&[3, algorithm_code(algorithm)]);
        }
        ContentAsk::Git(algorithm) => out.extend_from_slice(&[4, algorithm_code(algorithm)]),
    }
}

fn read_ask(bytes: &mut Bytes<'_>) -> Option<ContentAsk> {
    let kind = bytes.u8()?;
    if kind == 0 {
        return Some(ContentAsk::Nothing);
    }
    let algorithm = read_algorithm(bytes.u8()?)?;
    match kind {
        1 => Some(ContentAsk::File(algorithm)),
        2 => Some(ContentAsk::Nar(algorithm, SelfReference::No)),
        3 => Some(ContentAsk::Nar(algorithm, SelfReference::Yes)),
        4 => Some(ContentAsk::Git(algorithm)),
        _ => None,
    }
}

fn put_hash(hash: Option<&Hash>, out: &mut Vec<u8>) {
    match hash {
        None => out.push(0),
        Some(hash) => {
            out.extend_from_slice(&[1, algorithm_code(hash.algorithm())]);
            out.extend_from_slice(hash.as_bytes());
        }
    }
}

fn read_hash(bytes: &mut Bytes<'_>) -> Option<Option<Hash>> {
    match bytes.u8()? {
        0 => Some(None),
        1 => {
            let algorithm = read_algorithm(bytes.u8()?)?;
            Some(Some(Hash::new(algorithm, bytes.take(algorithm.digest_len())?).ok()?))
        }
        _ => None,
    }
}

fn algorithm_code(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Blake3 => 0,
        Algorithm::Md5 => 1,
        Algorithm::Sha1 => 2,
        Algorithm::Sha256 => 3,
        Algorithm::Sha512 => 4,
    }
}

fn read_algorithm(code: u8) -> Option<Algorithm> {
    match code {
        0 => Some(Algorithm::Blake3),
        1 => Some(Algorithm::Md5),
        2 => Some(Algorithm::Sha1),
        3 => Some(Algorithm::Sha256),
        4 => Some(Algorithm::Sha512),
        _ => None,
    }
}

fn executable_code(executable: Executable) -> u8 {
    match executable {
        Executable::No => 0,
        Executable::Yes => 1,
    }
}

fn read_executable(code: u8) -> Option<Executable> {
    match code {
        0 => Some(Executable::No),
        1 => Some(Executable::Yes),
        _ => None,
    }
}
