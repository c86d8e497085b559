//! The formats against published vectors: real narinfos of cache.nixos.org, and the data of the test
//! suites of Nix, tvix and harmonia. They have their own licences, so they stay outside of the
//! repository: in `$NARWARDEN_VECTORS`, or `shared/vectors` beside it. CI must have them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "test helpers outside of test functions"
)]

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use narwarden_core::content_address::{ContentAddress, Method, SelfReference};
use narwarden_core::fingerprint::fingerprint;
use narwarden_core::git_object::GitHasher;
use narwarden_core::hash::{self, Algorithm, Hash, Hasher, NarHash};
use narwarden_core::nar::NarWriter;
use narwarden_core::narinfo::NarInfo;
use narwarden_core::signature::PublicKey;
use narwarden_core::sink::{ByteSink, Executable, TreeSink};
use narwarden_core::store_path::StorePath;

const CACHE_KEY: &str = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

/// The public vectors, or nothing on a machine without them.
fn vectors(folder: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let root = std::env::var_os("NARWARDEN_VECTORS").map_or_else(beside, PathBuf::from);
    let folder = root.join("public").join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    let missing = format!("NO VECTORS in {}", folder.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("SKIPPED: {missing}; set NARWARDEN_VECTORS");
    None
}

/// The files of a folder, sorted, with their names.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn narinfos() -> Option<Vec<(String, String)>> {
    let texts = files(&vectors("narinfo")?)
        .into_iter()
        .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
        .collect::<Vec<_>>();
    assert!(texts.len() >= 145);
    Some(texts)
}

#[test]
fn real_narinfos_print_as_they_were() {
    for (name, text) in narinfos().unwrap_or_default() {
        let info = NarInfo::parse(&text).expect(&name);
        assert_eq!(name, format!("{}.narinfo", info.store_path.hash_part()));
        assert_eq!(info.signatures.malformed, 0);
        // `System`, which Nix once wrote, is the only key that we drop.
        let known: String =
            text.split_inclusive('\n').filter(|line| !line.starts_with("System: ")).collect();
        assert_eq!(info.to_string(), known, "{name}");
        assert_eq!(NarInfo::parse(&info.to_string()), Ok(info));
    }
}

#[test]
fn real_signatures_cover_each_claim() {
    let key = PublicKey::parse(CACHE_KEY).unwrap();
    assert_eq!(key.to_string(), CACHE_KEY);
    for (name, text) in narinfos().unwrap_or_default() {
        let info = NarInfo::parse(&text).expect(&name);
        let good = |info: &NarInfo| {
            let message =
                fingerprint(&info.store_path, &info.nar_hash, info.nar_size, &info.references);
            let signatures = &info.signatures.well_formed;
            assert!(!signatures.is_empty());
            signatures.iter().all(|signature| key.verifies(message.as_bytes(), signature))
        };
        assert!(good(&info), "{name}");
        let other = StorePath::make("source", &[0; 32], info.store_path.name()).unwrap();
        let mut hash = *info.nar_hash.as_bytes();
        hash[31] ^= 1;
        let mut more = info.references.clone();
        more.push(other.clone());
        let mut reversed = info.references.clone();
        reversed.reverse();
        assert!(good(&NarInfo { references: reversed, ..info.clone() }));
        let mut forgeries = vec![
            NarInfo { store_path: other, ..info.clone() },
            NarInfo { nar_hash: NarHash::from_bytes(hash), ..info.clone() },
            NarInfo { nar_size: info.nar_size.checked_add(1).unwrap(), ..info.clone() },
            NarInfo { nar_size: NonZeroU64::MAX, ..info.clone() },
            NarInfo { references: more, ..info.clone() },
        ];
        for index in 0..info.references.len() {
            let mut fewer = info.references.clone();
            fewer.remove(index);
            forgeries.push(NarInfo { references: fewer, ..info.clone() });
        }
        assert!(!forgeries.iter().any(good), "{name}");
    }
}

#[test]
fn real_content_addresses_prove_their_paths() {
    let mut proven = 0;
    for (name, text) in narinfos().unwrap_or_default() {
        let info = NarInfo::parse(&text).expect(&name);
        let Some(address) = info.content_address else { continue };
        let itself = info.references.contains(&info.store_path);
        let mut others = info.references;
        others.retain(|reference| *reference != info.store_path);
        let itself = if itself { SelfReference::Yes } else { SelfReference::No };
        let path = address.store_path(info.store_path.name(), &others, itself);
        assert_eq!(path, Ok(info.store_path));
        proven += 1;
    }
    assert!(proven == 5 || vectors("narinfo").is_none());
}

#[test]
fn published_hashes_and_paths() {
    let json = |folder: &str, name: &str| -> Option<serde_json::Value> {
        let file = vectors(folder)?.join(name);
        Some(serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
    };
    for (name, algorithm) in
        [("sha256.json", Algorithm::Sha256), ("blake3.json", Algorithm::Blake3)]
    {
        let Some(text) = json("hash", name) else { return };
        let mut hasher = Hasher::new(algorithm);
        hasher.write(b"asdf");
        let hash = hasher.finish();
        assert_eq!(Hash::parse(text.as_str().unwrap()), Ok(hash));
        assert_eq!(hash.to_sri(), text.as_str().unwrap());
    }
    let path = json("store-path", "simple.json").unwrap();
    let parsed = StorePath::from_base_name(path.as_str().unwrap()).unwrap();
    assert_eq!(parsed.base_name(), path.as_str().unwrap());
    assert!(parsed.is_derivation());
    let address = json("content-address", "nar.json").unwrap();
    assert_eq!(address["method"], Method::Nar.to_string());
    let hash = Hash::parse(address["hash"].as_str().unwrap()).unwrap();
    let address = ContentAddress { method: Method::Nar, hash };
    assert_eq!(address.to_string(), format!("fixed:r:{}", hash.to_nix32()));

    let store = json("dummy-store", "one-flat-file.json").unwrap();
    let (base_name, object) = store["contents"].as_object().unwrap().iter().next().unwrap();
    let (contents, info) = (&object["contents"], &object["info"]);
    let bytes = contents["contents"].as_str().unwrap().as_bytes();
    let mut writer = NarWriter::new(Vec::new());
    writer.begin_file(Executable::No, bytes.len() as u64).unwrap();
    writer.contents(bytes).unwrap();
    writer.end_file().unwrap();
    let nar = writer.finish().unwrap();
    assert_eq!(info["narSize"].as_u64(), Some(nar.len() as u64));
    let nar_hash = NarHash::from_bytes(hash::sha256(&nar));
    assert_eq!(info["narHash"].as_str().unwrap(), nar_hash.to_sri());
    assert_eq!(info["ca"]["hash"].as_str().unwrap(), nar_hash.to_sri());
    let address = ContentAddress { method: Method::Nar, hash: nar_hash.into() };
    let name = StorePath::from_base_name(base_name).unwrap();
    assert_eq!(address.store_path(name.name(), &[], SelfReference::No), Ok(name));
}

#[test]
fn published_git_trees() {
    let Some(folder) = vectors("git") else { return };
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let contents = read("hello-world.bin");
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256] {
        let listing = String::from_utf8(read(&format!("tree-{algorithm}.txt"))).unwrap();
        let mut git = GitHasher::new(algorithm).unwrap();
        git.begin_directory().unwrap();
        // The last line is a link to the same bytes, which have a NUL: no file system can hold it.
        let (lines, link) = listing.trim_end().rsplit_once('\n').unwrap();
        for line in lines.lines() {
            let (meta, name) = line.split_once('\t').unwrap();
            git.begin_entry(name.as_bytes()).unwrap();
            if meta.starts_with("040000") {
                git.begin_directory().unwrap();
                git.end_directory().unwrap();
            } else {
                let executable = meta.starts_with("100755");
                let executable = if executable { Executable::Yes } else { Executable::No };
                git.begin_file(executable, contents.len() as u64).unwrap();
                git.contents(&contents).unwrap();
                git.end_file().unwrap();
            }
            git.end_entry().unwrap();
        }
        git.end_directory().unwrap();

        let tree = read(&format!("tree-{algorithm}.bin"));
        let body = &tree[tree.iter().position(|byte| *byte == 0).unwrap() + 1..];
        let (_, name) = link.split_once('\t').unwrap();
        let last = "120000 \0".len() + name.len() + algorithm.digest_len();
        let body = &body[..body.len() - last];
        let mut expected = Hasher::new(algorithm);
        expected.write(format!("tree {}\0", body.len()).as_bytes());
        expected.write(body);
        assert_eq!(git.finish(), Ok(expected.finish()));
    }
}

/// What Nix from 2.35 on accepts, among the files that `INDEX.md` calls a matter of policy.
const ACCEPTED_BY_POLICY: [&str; 2] = ["depth-200.nar", "name-casehack.nar"];
/// The accepted ones among files whose name does not tell.
const ACCEPTED: [&str; 7] = [
    "case.nar",
    "complicated.nar",
    "helloworld.nar",
    "regular-one-byte-zero-padding.nar",
    "storego_onebyteregular.nar",
    "test-exec.nar",
    "test-text.nar",
];

#[test]
fn published_nars_are_rewritten_or_refused() {
    for folder in ["nar", "own-nar"] {
        for (name, nar) in vectors(folder).map_or_else(Vec::new, |folder| files(&folder)) {
            let accepted = name.starts_with("ok-")
                || ACCEPTED.contains(&&*name)
                || ACCEPTED_BY_POLICY.contains(&&*name);
            let rewritten = replay(&nar);
            assert_eq!(rewritten.as_ref() == Some(&nar), accepted, "{name}");
        }
    }
}

/// Feeds a writer with what an archive holds. The reader is lazy on purpose: what it lets pass, the
/// writer has to refuse, or to write differently.
fn replay(nar: &[u8]) -> Option<Vec<u8>> {
    let mut writer = NarWriter::new(Vec::new());
    let mut reader = Reader(nar);
    reader.tag("nix-archive-1")?;
    let mut open = 0;
    loop {
        reader.tag("(")?;
        reader.tag("type")?;
        match reader.string()? {
            b"regular" => {
                let mut executable = Executable::No;
                let mut tag = reader.string()?;
                if tag == b"executable" {
                    executable = Executable::Yes;
                    reader.tag("")?;
                    tag = reader.string()?;
                }
                if tag != b"contents" {
                    return None;
                }
                let contents = reader.string()?;
                writer.begin_file(executable, contents.len() as u64).ok()?;
                writer.contents(contents).ok()?;
                writer.end_file().ok()?;
                reader.tag(")")?;
            }
            b"symlink" => {
                reader.tag("target")?;
                writer.symlink(reader.string()?).ok()?;
                reader.tag(")")?;
            }
            b"directory" => {
                writer.begin_directory().ok()?;
                open += 1;
                if reader.next_entry(&mut writer)? {
                    continue;
                }
                writer.end_directory().ok()?;
                open -= 1;
            }
            _ => return None,
        }
        // Close what ends here, up to a directory that has another entry.
        loop {
            if open == 0 {
                return writer.finish().ok();
            }
            reader.tag(")")?;
            writer.end_entry().ok()?;
            if reader.next_entry(&mut writer)? {
                break;
            }
            writer.end_directory().ok()?;
            open -= 1;
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn string(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let (string, rest) = rest.split_at_checked(len)?;
        self.0 = rest.get(len.next_multiple_of(8) - len..)?;
        Some(string)
    }

    fn tag(&mut self, tag: &str) -> Option<()> {
        (self.string()? == tag.as_bytes()).then_some(())
    }

    /// Begins the next entry of a directory, unless that ends.
    fn next_entry(&mut self, writer: &mut NarWriter<Vec<u8>>) -> Option<bool> {
        if self.string()? == b")" {
            return Some(false);
        }
        self.tag("(")?;
        self.tag("name")?;
        writer.begin_entry(self.string()?).ok()?;
        self.tag("node")?;
        Some(true)
    }
}
