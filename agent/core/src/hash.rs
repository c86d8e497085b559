//! Hashes as Nix writes them: the algorithms, the four spellings, and hashing itself.
//!
//! ```text
//! hash      = algorithm ":" ( base16 | nix32 | base64 )   ; told apart by their length
//!           | algorithm "-" base64                        ; SRI, W3C Subresource Integrity 3.5
//! algorithm = "blake3" | "md5" | "sha1" | "sha256" | "sha512"
//! ```
//!
//! Base16 is printed in lower case and read in either; base64 must be canonical and padded
//! (RFC 4648 section 3.5), where Nix is lenient. nix32 is the spelling of fingerprints, narinfos and
//! `ca`; base16 that of the database; SRI that of JSON.
//! Source: Nix manual, "nix hash"; Nix `src/libutil/hash.cc`.

use core::fmt;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::Digest as _;

use crate::nix32::{self, Excerpt, Nix32Error};
use crate::sink::ByteSink;

/// A hash function Nix knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// BLAKE3 with 32 bytes; an experimental feature of Nix.
    Blake3,
    /// MD5: collisions are cheap.
    Md5,
    /// SHA-1: collisions are affordable.
    Sha1,
    /// SHA-256, the only one of NAR hashes and store paths.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The algorithm called `name`, in lower case.
    pub fn parse(name: &str) -> Result<Self, HashError> {
        match name {
            "blake3" => Ok(Self::Blake3),
            "md5" => Ok(Self::Md5),
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(HashError::UnknownAlgorithm { name: Excerpt::of(name) }),
        }
    }

    /// How Nix spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes in one hash.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Blake3 | Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hash together with the algorithm that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(Digest);

/// The length is part of the type, so no `Hash` has a wrong one. Ordered like [`Algorithm`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Digest {
    Blake3([u8; 32]),
    Md5([u8; 16]),
    Sha1([u8; 20]),
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

impl Hash {
    /// Names the algorithm that made these raw bytes.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, HashError> {
        let digest = match algorithm {
            Algorithm::Blake3 => bytes.try_into().map(Digest::Blake3),
            Algorithm::Md5 => bytes.try_into().map(Digest::Md5),
            Algorithm::Sha1 => bytes.try_into().map(Digest::Sha1),
            Algorithm::Sha256 => bytes.try_into().map(Digest::Sha256),
            Algorithm::Sha512 => bytes.try_into().map(Digest::Sha512),
        };
        digest.map(Self).map_err(|_| HashError::DigestLength { algorithm, found: bytes.len() })
    }

    /// Reads any of the four spellings.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        if text.contains(':') {
            return Self::parse_prefixed(text);
        }
        let Some((algorithm, digest)) = text.split_once('-') else {
            return Err(HashError::NoAlgorithm { text: Excerpt::of(text) });
        };
        let algorithm = Algorithm::parse(algorithm)?;
        if digest.len() != BASE64.encode_len(algorithm.digest_len()) {
            return Err(HashError::TextLength { algorithm, found: digest.len() });
        }
        Self::from_base64(algorithm, digest)
    }

    /// Reads `algorithm:digest`, the spellings of a `ca` field: SRI is refused.
    pub(crate) fn parse_prefixed(text: &str) -> Result<Self, HashError> {
        let Some((algorithm, digest)) = text.split_once(':') else {
            return Err(HashError::NoAlgorithm { text: Excerpt::of(text) });
        };
        let algorithm = Algorithm::parse(algorithm)?;
        let (len, found) = (algorithm.digest_len(), digest.len());
        if found == HEXLOWER.encode_len(len) {
            let bytes = HEXLOWER_PERMISSIVE.decode(digest.as_bytes());
            Self::new(algorithm, &bytes.map_err(|_| HashError::NotBase16)?)
        } else if found == nix32::encoded_len(len) {
            Self::from_nix32(algorithm, digest)
        } else if found == BASE64.encode_len(len) {
            Self::from_base64(algorithm, digest)
        } else {
            Err(HashError::TextLength { algorithm, found })
        }
    }

    fn from_nix32(algorithm: Algorithm, digest: &str) -> Result<Self, HashError> {
        Ok(Self(match algorithm {
            Algorithm::Blake3 => Digest::Blake3(nix32::decode(digest)?),
            Algorithm::Md5 => Digest::Md5(nix32::decode(digest)?),
            Algorithm::Sha1 => Digest::Sha1(nix32::decode(digest)?),
            Algorithm::Sha256 => Digest::Sha256(nix32::decode(digest)?),
            Algorithm::Sha512 => Digest::Sha512(nix32::decode(digest)?),
        }))
    }

    fn from_base64(algorithm: Algorithm, digest: &str) -> Result<Self, HashError> {
        let bytes = decode_base64(digest).ok_or(HashError::NotBase64)?;
        Self::new(algorithm, &bytes)
    }

    /// What made the hash.
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Digest::Blake3(_) => Algorithm::Blake3,
            Digest::Md5(_) => Algorithm::Md5,
            Digest::Sha1(_) => Algorithm::Sha1,
            Digest::Sha256(_) => Algorithm::Sha256,
            Digest::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The raw bytes, [`Algorithm::digest_len`] of them.
    pub const fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Digest::Md5(bytes) => bytes,
            Digest::Sha1(bytes) => bytes,
            Digest::Blake3(bytes) | Digest::Sha256(bytes) => bytes,
            Digest::Sha512(bytes) => bytes,
        }
    }

    /// The raw bytes, if they are a SHA-256.
    pub(crate) const fn as_sha256(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Digest::Sha256(bytes) => Some(bytes),
            Digest::Blake3(_) | Digest::Md5(_) | Digest::Sha1(_) | Digest::Sha512(_) => None,
        }
    }

    /// `sha256:<nix32>`.
    pub fn to_nix32(&self) -> String {
        format!("{}:{}", self.algorithm(), nix32::encode(self.as_bytes()))
    }

    /// `sha256:<lower-case hex>`.
    pub fn to_base16(&self) -> String {
        format!("{}:{}", self.algorithm(), HEXLOWER.encode(self.as_bytes()))
    }

    /// `sha256-<base64>`.
    pub fn to_sri(&self) -> String {
        format!("{}-{}", self.algorithm(), BASE64.encode(self.as_bytes()))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_nix32())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// SHA-256 of a NAR: the `narHash` of a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarHash([u8; 32]);

impl NarHash {
    /// Takes the raw SHA-256.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw SHA-256.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads any spelling of a SHA-256.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        Hash::parse(text)?.try_into()
    }

    /// `sha256:<lower-case hex>`, as in the database.
    pub fn to_base16(&self) -> String {
        Hash::from(*self).to_base16()
    }

    /// `sha256-<base64>`, as in JSON.
    pub fn to_sri(&self) -> String {
        Hash::from(*self).to_sri()
    }
}

impl fmt::Display for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash::from(*self).fmt(f)
    }
}

impl fmt::Debug for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NarHash({self})")
    }
}

impl From<NarHash> for Hash {
    fn from(hash: NarHash) -> Self {
        Self(Digest::Sha256(hash.0))
    }
}

impl TryFrom<Hash> for NarHash {
    type Error = HashError;

    fn try_from(hash: Hash) -> Result<Self, HashError> {
        let found = hash.algorithm();
        hash.as_sha256().copied().map(Self).ok_or(HashError::NotSha256 { found })
    }
}

/// A running hash of the bytes written to it.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    // Two kilobytes, many times the others.
    Blake3(Box<blake3::Hasher>),
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// The hash of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Blake3 => State::Blake3(Box::default()),
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// The hash of everything written.
    pub fn finish(self) -> Hash {
        Hash(match self.0 {
            State::Blake3(state) => Digest::Blake3(state.finalize().into()),
            State::Md5(state) => Digest::Md5(state.finalize().into()),
            State::Sha1(state) => Digest::Sha1(state.finalize().into()),
            State::Sha256(state) => Digest::Sha256(state.finalize().into()),
            State::Sha512(state) => Digest::Sha512(state.finalize().into()),
        })
    }
}

impl ByteSink for Hasher {
    fn write(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Blake3(state) => {
                state.update(bytes);
            }
            State::Md5(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Blake3(_) => "Hasher(blake3)",
            State::Md5(_) => "Hasher(md5)",
            State::Sha1(_) => "Hasher(sha1)",
            State::Sha256(_) => "Hasher(sha256)",
            State::Sha512(_) => "Hasher(sha512)",
        })
    }
}

/// The bytes that base64 in its one spelling writes as `text`. The decoder alone also takes texts with padding
/// in the middle.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| BASE64.encode(bytes) == text)
}

/// SHA-256 of `bytes` in one go.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// Why a text or a byte string is not a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Raw bytes of another length.
    #[error("a {algorithm} hash cannot have {found} bytes")]
    DigestLength {
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// How many bytes were given.
        found: usize,
    },
    /// Nothing says which algorithm it was.
    #[error("hash \"{text}\" names no algorithm")]
    NoAlgorithm {
        /// The text.
        text: Excerpt,
    },
    /// As long as base16, but it is not.
    #[error("hash is not base16")]
    NotBase16,
    /// As long as base64, but it is not, or is not canonical.
    #[error("hash is not canonical base64")]
    NotBase64,
    /// As long as nix32, but it is not, or is not canonical.
    #[error("hash is not canonical nix32: {0}")]
    NotNix32(#[from] Nix32Error),
    /// A good hash, of another algorithm than SHA-256.
    #[error("a nar hash must be sha256, not {found}")]
    NotSha256 {
        /// The algorithm named.
        found: Algorithm,
    },
    /// No spelling of this algorithm is that long.
    #[error("no spelling of a {algorithm} hash has {found} characters")]
    TextLength {
        /// The algorithm named.
        algorithm: Algorithm,
        /// The length of what follows the algorithm, in bytes.
        found: usize,
    },
    /// An algorithm Nix does not have.
    #[error("unknown hash algorithm \"{name}\"")]
    UnknownAlgorithm {
        /// The name.
        name: Excerpt,
    },
}

#[cfg(test)]
mod tests;
