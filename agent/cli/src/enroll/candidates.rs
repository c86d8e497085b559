//! The keys that might have signed a system: those of its nix.conf, and those the operator names.

use crate::outcome::Failure;
use crate::terminal::{plain, print_error};
use narwarden_core::signature::PublicKey;
use narwarden_core::trust::{Community, MAX_KEYS};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The key that Nix trusts where nix.conf says nothing (`trusted-public-keys`, nix.conf(5)).
const DEFAULT_KEY: &str = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
/// Names of caches that sign for everybody. Only a proposal: the operator reads the file.
const COMMUNITY: [&str; 2] = ["cache.nixos.org-", "nix-community.cachix.org-"];
const LONGEST: u64 = 1 << 20;
/// open(2): a FIFO is opened at once.
const O_NONBLOCK: i32 = 0o4000;

/// A key that may or may not have signed anything.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// What it is called in the trust set.
    pub(crate) id: String,
    pub(crate) public: PublicKey,
    pub(crate) community: Community,
}

/// Every usable key that was proposed, once.
pub(crate) fn candidates(nix_conf: &Path, named: &[String]) -> Result<Vec<Candidate>, Failure> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for text in named {
        let key = PublicKey::parse(text);
        keys.push(key.map_err(|error| Failure::usage(format_args!("--key: {error}")))?);
    }
    for text in configured(&read(nix_conf)?).iter().map(String::as_str).chain([DEFAULT_KEY]) {
        match PublicKey::parse(text) {
            Ok(key) => keys.push(key),
            Err(error) => {
                let text = format!("{}: {error}; left out\n", nix_conf.display());
                print_error(&plain(&text))?;
            }
        }
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for public in keys {
        if candidates.len() >= MAX_KEYS {
            print_error(&format!(
                "more than {MAX_KEYS} keys are proposed; the rest is left out\n"
            ))?;
            break;
        }
        if candidates.iter().any(|other| other.public.as_bytes() == public.as_bytes()) {
            continue;
        }
        let name = public.name().to_string();
        let community = COMMUNITY.iter().any(|prefix| name.starts_with(prefix));
        let community = if community { Community::Yes } else { Community::No };
        candidates.push(Candidate { id: id(&name, &candidates), public, community });
    }
    Ok(candidates)
}

fn read(nix_conf: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = open_regular(nix_conf).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => {
            Err(Failure::usage(format_args!("cannot read {}: {error}", nix_conf.display())))
        }
    }
}

/// Opens a file that will not keep its reader waiting.
fn open_regular(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(std::io::Error::other("it is no regular file"))
}

/// The values of `trusted-public-keys` and `extra-trusted-public-keys` (nix.conf(5), "File format").
fn configured(nix_conf: &str) -> Vec<String> {
    let settings = nix_conf.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let (name, values) = line.split_once('=')?;
        let ours = matches!(name.trim(), "trusted-public-keys" | "extra-trusted-public-keys");
        ours.then(|| values.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    });
    settings.flatten().collect()
}

/// A plain name that no other candidate has.
fn id(name: &str, taken: &[Candidate]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let base: String = name.chars().map(plain).take(56).collect();
    let mut id = base.clone();
    let mut number = 2u32;
    while taken.iter().any(|other| other.id == id) || id == narwarden_core::trust::ANY {
        id = format!("{base}-{number}");
        number += 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_nix_finds_them() {
        let text = "# trusted-public-keys = no:AA\ntrusted-public-keys = a:1 b:2 # c:3\n\
                    extra-trusted-public-keys=d:4\nsubstituters = https://x\ntrusted-users = e:5\n";
        assert_eq!(configured(text), ["a:1", "b:2", "d:4"]);
    }

    #[test]
    fn names_become_plain_and_different() {
        let found = candidates(Path::new("/nonexistent"), &[]).unwrap();
        assert_eq!(
            found.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(),
            ["cache.nixos.org-1"]
        );
        assert_eq!(id("cache.nixos.org-1", &found), "cache.nixos.org-1-2");
        assert_eq!(id("a\u{1b}\"b", &[]), "a--b");
        assert_eq!(id("any", &[]), "any-2");
    }
}
