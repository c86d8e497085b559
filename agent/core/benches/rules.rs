//! The pure parts of a judgement: `cargo bench -p narwarden-core`.

#![expect(clippy::unwrap_used, reason = "what cannot be set up has no timing")]

use data_encoding::BASE64;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ed25519_dalek::{Signer as _, SigningKey};
use narwarden_core::fingerprint::fingerprint;
use narwarden_core::hash::{Algorithm, Hasher, NarHash, sha256};
use narwarden_core::nar::NarWriter;
use narwarden_core::signature::{PublicKey, Signature, Signatures};
use narwarden_core::sink::{ByteSink, Counting, Executable, TreeSink as _};
use narwarden_core::store_path::StorePath;
use std::num::NonZeroU64;

fn main() {
    divan::main();
}

/// Takes bytes and does nothing, so that only what feeds it is timed.
struct Nowhere;

impl ByteSink for Nowhere {
    fn write(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }
}

fn path(name: &str) -> StorePath {
    StorePath::make("output:out", &sha256(name.as_bytes()), name).unwrap()
}

fn a_fingerprint(references: usize) -> String {
    let references: Vec<_> = (0..references).map(|number| path(&format!("ref-{number}"))).collect();
    let hash = NarHash::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    fingerprint(&path("package-1.0"), &hash, NonZeroU64::MIN, &references)
}

fn signed(message: &str) -> (PublicKey, String) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = format!("bench-1:{}", BASE64.encode(key.verifying_key().as_bytes()));
    let signature = format!("bench-1:{}", BASE64.encode(&key.sign(message.as_bytes()).to_bytes()));
    (PublicKey::parse(&public).unwrap(), signature)
}

/// By the number of references, since all of them are signed.
#[divan::bench(args = [0, 5, 100])]
fn signature_check(bencher: Bencher<'_, '_>, references: usize) {
    let message = a_fingerprint(references);
    let (key, text) = signed(&message);
    let signature = Signature::parse(&text).unwrap();
    assert!(key.verifies(message.as_bytes(), &signature));
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| key.verifies(black_box(message.as_bytes()), &signature));
}

#[divan::bench]
fn signature_parse(bencher: Bencher<'_, '_>) {
    let (_, text) = signed("message");
    bencher.bench(|| Signatures::parse_column(black_box(&text)));
}

#[divan::bench(args = [0, 5, 100])]
fn fingerprint_of(bencher: Bencher<'_, '_>, references: usize) {
    let references: Vec<_> = (0..references).map(|number| path(&format!("ref-{number}"))).collect();
    let hash = NarHash::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    let package = path("package-1.0");
    bencher.bench(|| fingerprint(black_box(&package), &hash, NonZeroU64::MIN, &references));
}

#[divan::bench]
fn store_path_parse(bencher: Bencher<'_, '_>) {
    let text = path("package-1.0").to_string();
    bencher.bench(|| StorePath::parse(black_box(&text)));
}

/// A directory of a hundred files as a NAR, without hashing it: what framing costs.
#[divan::bench(args = [100, 10_000, 1_000_000])]
fn nar_framing(bencher: Bencher<'_, '_>, size: usize) {
    let contents = vec![0x5a; size];
    let names: Vec<String> = (0..100).map(|number| format!("file-{number:03}")).collect();
    bencher.counter(BytesCount::new(size * names.len())).bench(|| {
        let mut nar = NarWriter::new(Counting::new(Nowhere));
        nar.begin_directory().unwrap();
        for name in &names {
            nar.begin_entry(name.as_bytes()).unwrap();
            nar.begin_file(Executable::No, contents.len() as u64).unwrap();
            nar.contents(black_box(&contents)).unwrap();
            nar.end_file().unwrap();
            nar.end_entry().unwrap();
        }
        nar.end_directory().unwrap();
        nar.finish().unwrap().count()
    });
}

/// Each algorithm a content address may name, one stream.
#[divan::bench(args = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3, Algorithm::Sha1, Algorithm::Md5])]
fn hash(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let bytes = vec![0x5a; 64 << 10];
    bencher.counter(BytesCount::new(bytes.len())).bench(|| {
        let mut hasher = Hasher::new(algorithm);
        hasher.write(black_box(&bytes));
        hasher.finish()
    });
}
