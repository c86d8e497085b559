//! A store that Nix makes now, and the same question to Nix and to narwarden.
//!
//! Every case alters a fresh copy of one good store, asks `nix store verify` and `narwarden verify`, and says what
//! each must answer. Where they differ, the case says why; a difference that no case gives a reason for fails.
//! All of it needs root, `unshare`, `sqlite3` and Nix: `tests/run nix`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use narwarden_core::fingerprint::fingerprint;
use narwarden_core::narinfo::NarInfo;
use narwarden_core::signature::PublicKey;
use narwarden_core::store_path::StorePath;
use narwarden_forge::Signer;
use narwarden_store::{Database, Location};
use serde_json::Value;
use support::{Run, example, finish, narwarden, reasons, write};

/// Below it lies `nix`, which is mounted on `/nix` for every command that runs in it.
struct Store {
    scratch: tempfile::TempDir,
}

/// The paths of the good store.
#[derive(Clone, Debug)]
struct Paths {
    /// A system, signed, that refers to all others.
    top: String,
    /// An ordinary build, signed, that refers to itself and to `base`.
    ia: String,
    /// A text that refers to `base`.
    text: String,
    /// A file by `nix-store --add-fixed`.
    flat: String,
    /// A tree by its NAR hash.
    base: String,
}

const CONFIGURATION: &str = "\
experimental-features = nix-command
sandbox = false
build-users-group =
substitute = false
substituters =
trusted-public-keys =
use-sqlite-wal = true
";

/// What every script may use.
const PRELUDE: &str = r#"
mkdir -p /nix
mount --bind "$ROOT/nix" /nix
db=/nix/var/nix/db/db.sqlite
q() { sqlite3 -cmd '.timeout 5000' $db "$1"; }
id() { q "select id from ValidPaths where path = '$1'"; }
sigs() { q "select sigs from ValidPaths where path = '$1'"; }
set_sigs() { q "update ValidPaths set sigs = '$2' where path = '$1'"; }
open() { chmod -R u+w "$1"; }
# As Nix leaves a path behind.
close() { find "$1" \( -type f -o -type d \) -exec chmod a-w {} +; find "$1" -exec touch -h -d @1 {} +; }
# The database says what the disk says.
follow() {
  q "update ValidPaths set hash = 'sha256:$(nix-store --dump "$1" | sha256sum | cut -d' ' -f1)',
     narSize = $(nix-store --dump "$1" | wc -c) where path = '$1'"
}
"#;

const EXPRESSION: &str = r#"
{ source, flat }: let
  mk = name: script: more: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/bin:/usr/bin";
    args = [ "-euc" script ];
  } // more);
in rec {
  base = builtins.path { path = source; name = "base"; };
  text = builtins.toFile "text" "refers to ${base}\n";
  ia = mk "ia" ''
    mkdir $out; echo $base > $out/f; echo $out > $out/self; ln -s f $out/link
    printf '#!/bin/sh\n' > $out/x; chmod +x $out/x
  '' { inherit base; };
  top = mk "nixos-system-test-1" ''
    mkdir $out; echo $ia $text $flat > $out/refers; ln -s $ia/x $out/init
  '' { inherit ia text; flat = builtins.storePath flat; };
}
"#;

fn ci() -> Signer {
    Signer::new("ci.test-1", 1)
}

impl Store {
    fn empty() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for directory in ["nix", "conf", "home"] {
            fs::create_dir(scratch.path().join(directory)).unwrap();
        }
        // For a reader who is not root.
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        write(&scratch.path().join("conf"), "nix.conf", CONFIGURATION);
        Self { scratch }
    }

    fn root(&self) -> &Path {
        self.scratch.path()
    }

    fn database(&self) -> PathBuf {
        self.root().join("nix/var/nix/db/db.sqlite")
    }

    /// A command in a mount namespace of its own, where the store is `/nix`.
    fn command(&self, script: &str, environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-m", "--", "bash", "-euo", "pipefail", "-c"]);
        command.arg(format!("{PRELUDE}\n{script}")).current_dir(self.root());
        command.env("ROOT", self.root()).env("HOME", self.root().join("home"));
        command.env("NIX_CONF_DIR", self.root().join("conf")).env("LC_ALL", "C");
        for name in ["NIX_REMOTE", "NIX_PATH", "NIX_STORE", "NIX_STATE_DIR", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Runs a script that must go well; what it prints.
    fn script(&self, script: &str, environment: &[(&str, &str)]) -> String {
        let output = self.command(script, environment).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{error}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A good store, signed by [`ci`].
    fn good() -> (Self, Paths) {
        let store = Self::empty();
        let source = store.root().join("source");
        fs::create_dir_all(source.join("base/empty")).unwrap();
        fs::write(source.join("base/f"), "base\n").unwrap();
        fs::write(source.join("flat"), "flat\n").unwrap();
        fs::write(source.join("default.nix"), EXPRESSION).unwrap();
        let built = store.script(
            r#"
            flat=$(nix-store --add-fixed sha256 source/flat)
            nix() { nix-instantiate source --argstr flat "$flat" --arg source "$PWD/source/base" "$@"; }
            top=$(nix-build source --argstr flat "$flat" --arg source "$PWD/source/base" \
              -A top --no-out-link -Q 2>log || { cat log >&2; exit 1; })
            of() { nix --eval --strict --read-write-mode -A "$1" | tr -d '"'; }
            echo "$top"; of ia.outPath; of text; echo "$flat"; of base
            "#,
            &[],
        );
        let [top, ia, text, flat, base] = &built.lines().collect::<Vec<_>>()[..] else {
            panic!("{built}");
        };
        let own = |path: &&str| (*path).to_owned();
        let paths =
            Paths { top: own(top), ia: own(ia), text: own(text), flat: own(flat), base: own(base) };
        store.sign(&ci(), &[&paths.ia, &paths.top]);
        (store, paths)
    }

    /// The same store once more, to be altered.
    fn copy(&self) -> Self {
        let copy = Self::empty();
        fs::remove_dir(copy.root().join("nix")).unwrap();
        let mut cp = Command::new("cp");
        cp.arg("-a").arg(self.root().join("nix")).arg(copy.root());
        assert!(cp.status().unwrap().success());
        copy
    }

    /// Signs with Nix itself.
    fn sign(&self, signer: &Signer, paths: &[&str]) {
        let key = self.secret_key(signer);
        self.script(&format!("nix store sign -k {} {}", key.display(), paths.join(" ")), &[]);
    }

    /// Nix's form of a secret key: the seed and the public key.
    fn secret_key(&self, signer: &Signer) -> PathBuf {
        let public = signer.public_key();
        let (name, public) = public.split_once(':').unwrap();
        let script = r#"
            seed() { printf "$(printf '\\x%02x' "$SEED")%.0s" {1..32}; }
            printf '%s:%s' "$NAME" "$({ seed; base64 -d <<< "$PUBLIC"; } | base64 -w0)" > secret
        "#;
        // `Signer::new` fills the seed with one byte, which is found by its public key.
        let seed =
            (0..=u8::MAX).find(|seed| Signer::new(name, *seed).public_key() == signer.public_key());
        let seed = seed.unwrap().to_string();
        self.script(script, &[("SEED", &seed), ("NAME", name), ("PUBLIC", public)]);
        self.root().join("secret")
    }

    /// What `nix store verify` says of the closure: its exit code and what it printed.
    fn nix_verify(&self, path: &str, keys: &[String], signatures: Option<u32>) -> (i32, String) {
        let needed = signatures.map(|count| format!("--sigs-needed {count}")).unwrap_or_default();
        let keys = keys.join(" ");
        let script = format!("nix store verify -r {needed} --trusted-public-keys \"$KEYS\" {path}");
        let output = self.command(&script, &[("KEYS", &keys)]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        // Some rows make Nix abort, which is no consent either.
        (output.status.code().unwrap_or(-1), text)
    }

    /// What narwarden says of it.
    fn verify(&self, rules: &Rules, path: &str) -> Run {
        let mut command = narwarden();
        command.args(["verify", "--json", path, "--root"]).arg(self.root());
        finish(command.arg("--trust").arg(&rules.trust).arg("--policy").arg(&rules.policy))
    }
}

struct Rules {
    scratch: tempfile::TempDir,
    trust: PathBuf,
    policy: PathBuf,
}

impl Rules {
    fn new(keys: &[String], policy: Policy) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let line = |(number, key)| format!("k{number} = {{ public = \"{key}\" }}\n");
        let keys: String = keys.iter().enumerate().map(line).collect();
        let trust = write(scratch.path(), "trust.toml", &format!("[keys]\n{keys}"));
        let compatible = example(scratch.path(), "nix-compatible");
        let text = fs::read_to_string(&compatible).unwrap();
        let policy = match policy {
            Policy::Compatible => compatible,
            Policy::Canonical => {
                let strict = text.replace("metadata = \"report\"", "metadata = \"canonical\"");
                assert_ne!(strict, text);
                write(scratch.path(), "policy.toml", &strict)
            }
            Policy::Two => {
                let of = "{ threshold = 2, of = [\"k0\", \"k1\"] }";
                let two = text.replace("= \"any\"", &format!("= {of}"));
                assert_ne!(two, text);
                write(scratch.path(), "policy.toml", &two)
            }
            Policy::BuiltIn => {
                write(scratch.path(), "policy.toml", narwarden_core::policy::BUILT_IN)
            }
        };
        Self { scratch, trust, policy }
    }
}

/// By which policy narwarden is asked.
#[derive(Clone, Copy, Debug)]
enum Policy {
    /// `policy-examples/nix-compatible`.
    Compatible,
    /// The same, with canonical metadata.
    Canonical,
    /// The same, with two keys for everything.
    Two,
    /// What holds where the operator wrote none.
    BuiltIn,
}

/// What narwarden must answer.
#[derive(Clone, Copy, Debug)]
enum Ours {
    Admit,
    /// With these reasons, all of them.
    Deny(&'static [&'static str]),
    /// The trust set itself is refused.
    Refuse,
}

struct Case {
    title: &'static str,
    /// Which path is asked about.
    target: fn(&Paths) -> &str,
    /// Run in the store before it is asked about; has the names of [`Paths`] as variables.
    alter: &'static str,
    ours: Ours,
    /// Why Nix answers otherwise, in a store that its own check finds nothing wrong with or everything.
    differs: Option<&'static str>,
    policy: Policy,
    signatures: Option<u32>,
    keys: fn() -> Vec<String>,
}

const PLAIN: Case = Case {
    title: "",
    target: |paths| &paths.top,
    alter: "",
    ours: Ours::Admit,
    differs: None,
    policy: Policy::Compatible,
    signatures: Some(1),
    keys: || vec![ci().public_key()],
};

/// Where Nix and narwarden agree.
const AGREED: &[Case] = &[
    Case { title: "nothing", ..PLAIN },
    Case {
        title: "files hard-linked by store optimisation",
        alter: "nix-store --optimise 2>/dev/null; [ $(stat -c %h $ia/f) = 2 ]",
        ..PLAIN
    },
    Case {
        title: "columns that nothing is decided by",
        alter: "q \"update ValidPaths set deriver = '/nix/store/$(printf '%032d' 1)-x.drv', registrationTime = 1, ultimate = 0\"",
        ..PLAIN
    },
    Case {
        title: "signatures by keys that nobody pinned, beside the good one",
        alter: "set_sigs $ia \"a:AAAA b $(sigs $ia) other.test-1:$(printf '%086d' 0)==\"",
        ..PLAIN
    },
    Case {
        title: "metadata that is only to be reported",
        alter: "chmod 4555 $ia/x; chown 1:1 $ia/f; touch -d @1000000000 $ia/link; chmod 777 $ia",
        ..PLAIN
    },
    Case {
        title: "a row that is about another path and cannot be parsed",
        alter: "nix-store --add conf >/dev/null; \
                q \"update ValidPaths set ca = 'fixed:z:1' where path like '%-conf'\"",
        ..PLAIN
    },
    Case {
        title: "a byte changed, the length kept",
        alter: "open $ia; printf B | dd of=$ia/f conv=notrunc status=none; close $ia",
        ours: Ours::Deny(&["content-drift"]),
        ..PLAIN
    },
    Case {
        title: "a byte added",
        alter: "open $ia; echo >> $ia/f; close $ia",
        ours: Ours::Deny(&["content-drift"]),
        ..PLAIN
    },
    Case {
        title: "a file added",
        alter: "open $ia; echo > $ia/more; close $ia",
        ours: Ours::Deny(&["content-drift"]),
        ..PLAIN
    },
    Case {
        title: "a file removed",
        alter: "open $ia; rm $ia/self; close $ia",
        ours: Ours::Deny(&["content-drift"]),
        ..PLAIN
    },
    Case {
        title: "an executable file that is none any more",
        alter: "chmod a-x $ia/x",
        ours: Ours::Deny(&["content-drift"]),
        ..PLAIN
    },
    Case {
        title: "a link that leads elsewhere",
        alter: "open $ia; ln -sfn self $ia/link; close $ia",
        ours: Ours::Deny(&["content-drift"]),
        ..PLAIN
    },
    Case {
        title: "the path replaced by a link to a copy of it",
        alter: "cp -a $ia $ia-copy; open $ia; rm -rf $ia; ln -s $ia-copy $ia; close $ia",
        ours: Ours::Deny(&["content-drift"]),
        ..PLAIN
    },
    Case {
        title: "an empty directory removed from a content-addressed path",
        alter: "open $base; rmdir $base/empty; close $base",
        ours: Ours::Deny(&["content-address-mismatch", "content-drift"]),
        ..PLAIN
    },
    Case {
        title: "a named pipe inside",
        alter: "open $ia; mkfifo $ia/pipe; close $ia",
        ours: Ours::Deny(&["unsupported-file"]),
        ..PLAIN
    },
    Case {
        title: "the path gone from the disk",
        alter: "open $ia; rm -rf $ia",
        ours: Ours::Deny(&["missing-path"]),
        ..PLAIN
    },
    Case {
        title: "contents, hash and size changed together on a signed path",
        alter: "open $ia; echo evil > $ia/f; close $ia; follow $ia",
        ours: Ours::Deny(&["bad-signature"]),
        ..PLAIN
    },
    Case {
        title: "another hash in the database only",
        alter: "q \"update ValidPaths set hash = 'sha256:$(sha256sum < /dev/null | cut -d' ' -f1)' \
                where path = '$ia'\"",
        ours: Ours::Deny(&["database-drift"]),
        ..PLAIN
    },
    Case {
        title: "the signature taken off",
        alter: "q \"update ValidPaths set sigs = null where path = '$ia'\"",
        ours: Ours::Deny(&["unsigned"]),
        ..PLAIN
    },
    Case {
        title: "the signature taken off, built here",
        alter: "q \"update ValidPaths set sigs = null, ultimate = 1 where path = '$ia'\"",
        ours: Ours::Deny(&["unsigned"]),
        ..PLAIN
    },
    Case {
        title: "one bit of the signature turned",
        alter: "s=$(sigs $ia); c=${s:20:1}; n=A; [ $c = A ] && n=B; set_sigs $ia ${s:0:20}$n${s:21}",
        ours: Ours::Deny(&["bad-signature"]),
        ..PLAIN
    },
    Case {
        title: "the signature of another path",
        alter: "set_sigs $ia \"$(sigs $top)\"",
        ours: Ours::Deny(&["bad-signature"]),
        ..PLAIN
    },
    Case {
        title: "the signature under another name",
        alter: "s=$(sigs $ia); set_sigs $ia other.test-1:${s#*:}",
        ours: Ours::Deny(&["unknown-key"]),
        ..PLAIN
    },
    Case {
        title: "another key of the same name",
        keys: || vec![Signer::new("ci.test-1", 9).public_key()],
        ours: Ours::Deny(&["bad-signature"]),
        ..PLAIN
    },
    Case {
        title: "a reference of a signed path deleted",
        alter: "q \"delete from Refs where referrer = $(id $ia) and reference = $(id $base)\"",
        ours: Ours::Deny(&["bad-signature"]),
        ..PLAIN
    },
    Case {
        title: "a reference of a signed path to itself deleted",
        alter: "q \"delete from Refs where referrer = $(id $ia) and reference = $(id $ia)\"",
        ours: Ours::Deny(&["bad-signature"]),
        ..PLAIN
    },
    Case {
        title: "a reference of a text deleted",
        alter: "q \"delete from Refs where referrer = $(id $text)\"",
        ours: Ours::Deny(&["content-address-mismatch"]),
        ..PLAIN
    },
    Case {
        title: "a reference added to a flat file",
        alter: "q \"insert into Refs values ($(id $flat), $(id $base))\"",
        ours: Ours::Deny(&["content-address-mismatch"]),
        ..PLAIN
    },
    Case {
        title: "a content address taken off",
        alter: "q \"update ValidPaths set ca = null where path = '$base'\"",
        ours: Ours::Deny(&["unsigned"]),
        ..PLAIN
    },
];

/// Where Nix and narwarden do not agree, and why.
const DIFFERENT: &[Case] = &[
    Case {
        title: "D03: contents of a NAR-addressed path changed, the database following",
        alter: "open $base; echo evil > $base/f; close $base; follow $base",
        ours: Ours::Deny(&["content-address-mismatch"]),
        differs: Some("Nix holds `ca` against name and references only"),
        ..PLAIN
    },
    Case {
        title: "D03: contents of a flat file changed, the database following",
        alter: "open $flat; echo evil > $flat; close $flat; follow $flat",
        ours: Ours::Deny(&["content-address-mismatch"]),
        differs: Some("Nix holds `ca` against name and references only"),
        ..PLAIN
    },
    Case {
        title: "D03: contents of a text changed, the database following",
        alter: "open $text; echo evil > $text; close $text; follow $text",
        ours: Ours::Deny(&["content-address-mismatch"]),
        differs: Some("Nix holds `ca` against name and references only"),
        ..PLAIN
    },
    Case {
        title: "D04: unsigned, and said to be built here",
        alter: "q \"update ValidPaths set sigs = null, ultimate = 1 where path = '$ia'\"",
        ours: Ours::Deny(&["unsigned"]),
        signatures: None,
        differs: Some(
            "without --sigs-needed, Nix believes `ultimate`, which anybody may set who writes rows",
        ),
        ..PLAIN
    },
    Case {
        title: "D05: one key under two names, two signatures asked for",
        // A signature does not cover the name that it stands under.
        alter: "for p in $ia $top; do s=$(sigs $p); set_sigs $p \"$s twin.test-1:${s#*:}\"; done",
        policy: Policy::Two,
        signatures: Some(2),
        keys: || vec![ci().public_key(), ci().named("twin.test-1").public_key()],
        ours: Ours::Refuse,
        differs: Some(
            "Nix counts names (NixOS/nix#8917); here the trust set with such a pair is refused",
        ),
        ..PLAIN
    },
    Case {
        title: "D06: one key, two good signatures, two asked for",
        alter: "set_sigs $ia \"$(sigs $ia) $again_ia\"; set_sigs $top \"$(sigs $top) $again_top\"",
        policy: Policy::Two,
        signatures: Some(2),
        keys: || vec![ci().public_key(), Signer::new("release.test-1", 2).public_key()],
        ours: Ours::Deny(&["below-threshold"]),
        differs: Some("Nix counts texts, and a key can make any number of good signatures"),
        ..PLAIN
    },
    Case {
        title: "D08: two keys of one name, and the signature is by the second",
        keys: || vec![Signer::new("ci.test-1", 9).public_key(), ci().public_key()],
        differs: Some("Nix keeps the first key of a name and drops the other without a word"),
        ..PLAIN
    },
    Case {
        title: "D10: a setuid bit",
        alter: "chmod 4555 $ia/x",
        policy: Policy::Canonical,
        ours: Ours::Deny(&["metadata-drift"]),
        differs: Some("no hash covers it, and Nix does not look"),
        ..PLAIN
    },
    Case {
        title: "D10: a directory that anybody may write to",
        alter: "chmod 777 $ia",
        policy: Policy::Canonical,
        ours: Ours::Deny(&["metadata-drift"]),
        differs: Some("no hash covers it, and Nix does not look"),
        ..PLAIN
    },
    Case {
        title: "D10: another owner",
        alter: "chown 1:1 $ia/f",
        policy: Policy::Canonical,
        ours: Ours::Deny(&["metadata-drift"]),
        differs: Some("no hash covers it, and Nix does not look"),
        ..PLAIN
    },
    Case {
        title: "D10: another time",
        alter: "touch -d @1000000000 $ia/f",
        policy: Policy::Canonical,
        ours: Ours::Deny(&["metadata-drift"]),
        differs: Some("no hash covers it, and Nix does not look"),
        ..PLAIN
    },
    Case {
        title: "D10: a list of who else may write",
        alter: "setfacl -m u:1:rw $ia/f; touch -d @1 $ia/f",
        policy: Policy::Canonical,
        ours: Ours::Deny(&["metadata-drift"]),
        differs: Some("no hash covers it, and Nix does not look"),
        ..PLAIN
    },
    Case {
        title: "D12: a reference to a row that is not there",
        alter: "q \"pragma foreign_keys = off; insert into Refs values ($(id $ia), 999999)\"",
        ours: Ours::Deny(&["missing-reference"]),
        differs: Some("Nix joins the row away, whatever it stood for"),
        ..PLAIN
    },
    Case {
        title: "D07: a malformed signature under the pinned name, beside the good one",
        alter: "set_sigs $ia \"ci.test-1:AAAA $(sigs $ia)\"",
        differs: Some("it makes Nix throw: any user of the daemon may so veto any path"),
        ..PLAIN
    },
    Case {
        title: "D14: a deriver that is no path",
        alter: "q \"update ValidPaths set deriver = 'x' where path = '$ia'\"",
        differs: Some(
            "Nix parses every column of the row; what nothing is decided by is not read here",
        ),
        ..PLAIN
    },
    Case {
        title: "D14: no size in the database",
        alter: "q \"update ValidPaths set narSize = null where path = '$ia'\"",
        differs: Some(
            "Nix asks the row for the size that was signed; it is measured here, and noted",
        ),
        ..PLAIN
    },
    Case {
        title: "D16: a flat file that somebody made executable",
        alter: "chmod 555 $flat; follow $flat",
        ours: Ours::Deny(&["weak-content-address"]),
        differs: Some("a flat content address does not cover the bit"),
        ..PLAIN
    },
    Case {
        title: "D21: a text that any local user may add, offered as the toplevel",
        target: |paths| &paths.text,
        policy: Policy::BuiltIn,
        ours: Ours::Deny(&["unsigned"]),
        differs: Some("a content address says what a path holds, not that it may run"),
        ..PLAIN
    },
];

/// What was signed of a path.
fn message(store: &Store, path: &str) -> String {
    let path = StorePath::parse(path).unwrap();
    let closure = Database::at(&Location::new(store.root())).closure(&path).unwrap().value;
    let (index, claim) = closure.claims().next().unwrap();
    let references: Vec<_> = closure
        .references(index)
        .iter()
        .map(|reference| closure.claim(*reference).unwrap().path.clone())
        .collect();
    let size = NonZeroU64::new(claim.nar_size.unwrap()).unwrap();
    fingerprint(&path, &claim.nar_hash.unwrap(), size, &references)
}

/// What is wrong with the answers to one case.
fn try_case(good: &Store, paths: &Paths, case: &Case) -> Option<String> {
    let store = good.copy();
    let again = |path: &str| ci().sign_again(&message(good, path), 7);
    let (again_ia, again_top) = (again(&paths.ia), again(&paths.top));
    let environment = [
        ("top", paths.top.as_str()),
        ("ia", &paths.ia),
        ("text", &paths.text),
        ("flat", &paths.flat),
        ("base", &paths.base),
        ("again_ia", &again_ia),
        ("again_top", &again_top),
    ];
    store.script(case.alter, &environment);
    let keys = (case.keys)();
    let target = (case.target)(paths);
    let (nix, said) = store.nix_verify(target, &keys, case.signatures);
    let rules = Rules::new(&keys, case.policy);
    let run = store.verify(&rules, target);
    let answer = |denied: &[&str]| -> bool {
        let report: Value = serde_json::from_str(&run.out).unwrap_or_default();
        report["limits"] == serde_json::json!([]) && reasons(&report, "deny") == denied
    };
    let (code, right) = match case.ours {
        Ours::Admit => (0, run.code == Some(0) && answer(&[])),
        Ours::Deny(why) => (1, run.code == Some(1) && answer(why)),
        Ours::Refuse => (2, run.code == Some(2) && run.out.is_empty()),
    };
    let differ = (nix == 0) != (code == 0);
    let as_told = differ == case.differs.is_some();
    (!right || !as_told).then(|| {
        format!(
            "{}: Nix {nix} ({said}), expected {:?}, differs {:?}: {run:?}",
            case.title, case.ours, case.differs
        )
    })
}

fn try_cases(cases: &[Case]) {
    let (good, paths) = Store::good();
    let wrong: Vec<_> = cases.iter().filter_map(|case| try_case(&good, &paths, case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
#[ignore = "needs Nix and root: tests/run nix"]
fn nix_agrees() {
    assert!(AGREED.iter().all(|case| case.differs.is_none()));
    try_cases(AGREED);
}

#[test]
#[ignore = "needs Nix and root: tests/run nix"]
fn nix_differs_where_it_is_known_to() {
    assert!(DIFFERENT.iter().all(|case| case.differs.is_some()));
    try_cases(DIFFERENT);
}

/// Into a binary cache that signs, and from it into another store.
#[test]
#[ignore = "needs Nix and root: tests/run nix"]
fn what_came_through_a_cache_is_signed_by_it() {
    let (good, paths) = Store::good();
    let cache = Signer::new("cache.test-1", 3);
    let secret = good.secret_key(&cache);
    let url = format!("file://{}/cache?compression=none", good.root().display());
    let to = format!("nix copy --to '{url}&secret-key={}' {}", secret.display(), paths.top);
    good.script(&to, &[]);

    let keys = [ci(), cache.clone()].map(|it| PublicKey::parse(&it.public_key()).unwrap());
    let mut signed = Vec::new();
    for entry in fs::read_dir(good.root().join("cache")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|it| it == "narinfo") {
            let info = NarInfo::parse(&fs::read_to_string(&file).unwrap()).unwrap();
            let message =
                fingerprint(&info.store_path, &info.nar_hash, info.nar_size, &info.references);
            let good = |key: &PublicKey| {
                info.signatures.well_formed.iter().any(|it| key.verifies(message.as_bytes(), it))
            };
            signed.push((info.store_path.to_string(), keys.each_ref().map(good)));
        }
    }
    signed.sort();
    let of = |path: &String| (path.clone(), [[&paths.ia, &paths.top].contains(&path), true]);
    let mut expected =
        [&paths.base, &paths.flat, &paths.ia, &paths.text, &paths.top].map(of).to_vec();
    expected.sort();
    assert_eq!(signed, expected);

    let other = Store::empty();
    let from =
        format!("nix copy --from '{url}' --option trusted-public-keys \"$KEY\" {}", paths.top);
    other.script(&from, &[("KEY", &cache.public_key())]);
    for (signers, admitted) in [
        (vec![ci()], true),
        (vec![cache.clone()], true),
        (vec![Signer::new("cache.test-1", 4)], false),
    ] {
        let keys: Vec<_> = signers.iter().map(Signer::public_key).collect();
        let run = other.verify(&Rules::new(&keys, Policy::Canonical), &paths.top);
        assert_eq!(run.code, Some(i32::from(!admitted)), "{keys:?}: {run:?}");
        assert_eq!(other.nix_verify(&paths.top, &keys, Some(1)).0 == 0, admitted, "{keys:?}");
    }
}

/// A reader of the database that stays, as a daemon does: while it is there, nobody moves rows from the log to
/// the file.
struct Daemon {
    sqlite: Child,
}

impl Daemon {
    fn start(store: &Store, statements: &str) -> Self {
        let mut sqlite = Command::new("sqlite3")
            .arg(store.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(sqlite.stdin.as_mut().unwrap(), "{statements}\nselect 'ready';").unwrap();
        // One reader for all lines: what it has read ahead is gone with it.
        let lines = BufReader::new(sqlite.stdout.take().unwrap()).lines();
        assert!(lines.map(Result::unwrap).any(|line| line == "ready"), "sqlite3 ended");
        Self { sqlite }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.sqlite.stdin.take());
        let _ = self.sqlite.wait();
    }
}

/// Rows that are in the log only: seen by whoever may read the log, and never answered from the stale file by
/// whoever may not.
#[test]
#[ignore = "needs Nix and root: tests/run nix"]
fn rows_that_are_only_in_the_log() {
    let (store, paths) = Store::good();
    let rules = Rules::new(&[ci().public_key()], Policy::Compatible);
    let daemon = Daemon::start(
        &store,
        "pragma journal_mode = wal; pragma wal_autocheckpoint = 0; select count(*) from ValidPaths;",
    );
    let new = store.script("echo new > new; nix-store --add new", &[]);
    store.sign(&ci(), &[&new]);
    // The file alone does not have it.
    let uri = format!("file:{}?immutable=1", store.database().display());
    let stale = Command::new("sqlite3")
        .args([&uri, &format!("select count(*) from ValidPaths where path = '{new}'")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(stale.stdout).unwrap().trim(), "0", "it is in the log only");

    for path in [&new, &paths.top] {
        let run = store.verify(&rules, path);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    // A signature taken off, in the log only: the file still has it.
    store.script(
        &format!("q \"update ValidPaths set sigs = null where path = '{}'\"", paths.top),
        &[],
    );
    let run = store.verify(&rules, &paths.top);
    assert_eq!(run.code, Some(1), "{run:?}");

    // Somebody who may read the files, and may not write beside them.
    // Copied by another process: a child of this one might still hold it open for writing.
    let tool = store.root().join("narwarden");
    let cp = Command::new("cp").arg(env!("CARGO_BIN_EXE_narwarden")).arg(&tool).status();
    assert!(cp.unwrap().success());
    let nobody = |path: &str| {
        let mut command = Command::new("setpriv");
        for file in [&rules.trust, &rules.policy] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(rules.scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&tool);
        command.args(["verify", "--json", path, "--root"]).arg(store.root());
        command.arg("--trust").arg(&rules.trust).arg("--policy").arg(&rules.policy);
        finish(&mut command)
    };
    assert_eq!(nobody(&new).code, Some(0));
    assert_eq!(nobody(&paths.top).code, Some(1));
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", store.database().display()));
    for (file, mode) in [("-shm", 0o600), ("-wal", 0o600)] {
        let file = beside(file);
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        for path in [&new, &paths.top] {
            let run = nobody(path);
            assert_eq!(run.code, Some(3), "{}: {run:?}", file.display());
            assert!(run.out.is_empty() && run.err.contains("run as root"), "{run:?}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    drop(daemon);

    // The log is gone with the last who used it, and the file is the truth.
    assert!(fs::metadata(beside("-wal")).map_or(0, |it| it.len()) == 0);
    for verify in [&nobody as &dyn Fn(&str) -> Run, &|path| store.verify(&rules, path)] {
        assert_eq!(verify(&new).code, Some(0));
        assert_eq!(verify(&paths.top).code, Some(1));
    }
}

/// A row that somebody has written and not committed is not there, and nobody waits for it.
#[test]
#[ignore = "needs Nix and root: tests/run nix"]
fn a_writer_in_the_middle_of_a_transaction() {
    let (store, paths) = Store::good();
    let rules = Rules::new(&[ci().public_key()], Policy::Compatible);
    let daemon = Daemon::start(
        &store,
        &format!(
            "pragma journal_mode = wal; begin immediate; \
             update ValidPaths set sigs = null where path = '{}';",
            paths.top
        ),
    );
    // The daemon commits nothing before it is dropped: whoever waited for it would give up, and not admit.
    let run = store.verify(&rules, &paths.top);
    assert_eq!(run.code, Some(0), "{run:?}");
    drop(daemon);
    assert_eq!(store.verify(&rules, &paths.top).code, Some(0), "it was rolled back");
}
