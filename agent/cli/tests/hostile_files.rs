//! The command on files that somebody made to mislead it or to hold it up: it ends soon, and not with 0.
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

use narwarden_core::store_path::StorePath;
use narwarden_forge::{Forge, Generation, Rules, Workshop};
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;
use support::{Run, finish, narwarden, write};

/// Nothing here takes nearly as long.
const WATCHDOG: Duration = Duration::from_secs(50);

/// A good generation, and the rules that admit it.
struct Bench {
    workshop: Workshop,
    forge: Forge,
    generation: Generation,
    scratch: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let workshop = Workshop::new().unwrap();
        let mut forge = Forge::new(workshop.root()).unwrap();
        let generation = forge.good_generation().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let Rules { trust, policy, .. } = Rules::good();
        write(scratch.path(), "trust.toml", &trust);
        // Not root's store if this is not run by root.
        let policy = policy.replace("[require]\n", "[require]\nmetadata = \"report\"\n");
        write(scratch.path(), "policy.toml", &policy);
        Self { workshop, forge, generation, scratch }
    }

    fn verify(&self, target: &str) -> Run {
        let mut command = narwarden();
        command.args(["verify", "--quiet", target, "--root"]).arg(self.workshop.root());
        let scratch = self.scratch.path();
        command.arg("--trust").arg(scratch.join("trust.toml"));
        command.arg("--policy").arg(scratch.join("policy.toml"));
        watched(command)
    }

    fn toplevel(&self) -> String {
        self.generation.toplevel.to_string()
    }

    fn link(&self, to: &str, at: &str) {
        let at = self.workshop.root().join(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(to, at).unwrap();
    }
}

/// Runs on a thread of its own, which the test does not wait for longer than it must.
fn watched(mut command: Command) -> Run {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(finish(&mut command)));
    receiver.recv_timeout(WATCHDOG).expect("the command hangs, or ended as none may")
}

#[test]
fn a_link_is_judged_by_where_the_kernel_goes() {
    let bench = Bench::new();
    let good = bench.toplevel();
    let evil = "/nix/store/00000000000000000000000000000000-evil";
    fs::create_dir(bench.workshop.root().join(&evil[1..])).unwrap();
    let name = good.rsplit('/').next().unwrap();
    let evil_name = evil.rsplit('/').next().unwrap();
    // `away` leads to a directory elsewhere, so that `..` behind it is not where the text says.
    fs::create_dir_all(bench.workshop.root().join("elsewhere/deep")).unwrap();
    bench.link("/elsewhere/deep", "profiles/away");
    bench.link(&good, "profiles/generation");
    bench.link(evil, "elsewhere/generation");
    bench.link("away/../generation", "profiles/misleading");
    bench.link("../profiles/generation", "profiles/straight");
    bench.link(&format!("/nix/store/{evil_name}/../{name}"), "profiles/back");
    bench.link(&format!("/nix/store/{name}/../{evil_name}"), "profiles/forth");
    for (target, code, judged) in [
        ("/profiles/straight", 0, good.as_str()),
        ("/profiles/back", 0, &good),
        ("/profiles/misleading", 1, evil),
        ("/profiles/forth", 1, evil),
    ] {
        let run = bench.verify(target);
        assert_eq!(run.code, Some(code), "{target}: {run:?}");
        assert!(run.out.lines().next().unwrap().ends_with(judged), "{target}: {run:?}");
    }
}

#[test]
fn a_policy_that_is_a_broken_link_is_not_a_missing_one() {
    // The files of the machine are replaced in a mount namespace, which takes root.
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED, needs root: the policy of the machine");
        return;
    }
    let bench = Bench::new();
    let etc = bench.scratch.path().join("etc");
    let ours = etc.join("narwarden");
    fs::create_dir_all(&ours).unwrap();
    write(&ours, "trust.toml", &Rules::good().trust);
    let run = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$1\" /etc && shift && exec \"$@\""]);
        command.arg("sh").arg(&etc).arg(env!("CARGO_BIN_EXE_narwarden"));
        command.args(["verify", "--quiet", &bench.toplevel(), "--root"]);
        watched({
            command.arg(bench.workshop.root());
            command
        })
    };
    let absent = run();
    assert!(matches!(absent.code, Some(0 | 1)), "{absent:?}");
    if absent.err.contains("unshare") || absent.err.contains("mount:") {
        eprintln!("SKIPPED, needs mount namespaces: the policy of the machine");
        return;
    }
    assert!(absent.out.contains(&bench.toplevel()), "{absent:?}");
    symlink("/nowhere", ours.join("policy.toml")).unwrap();
    let broken = run();
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.err.contains("/etc/narwarden/policy.toml"), "{broken:?}");
    assert_eq!(broken.out, "");
}

#[test]
fn a_pipe_in_place_of_nix_conf_keeps_nobody_waiting() {
    let bench = Bench::new();
    let enroll = |output: &Path| {
        fs::create_dir(output).unwrap();
        let mut command = narwarden();
        command.args(["enroll", &bench.toplevel(), "--root"]).arg(bench.workshop.root());
        command.arg("--output").arg(output);
        watched(command)
    };
    let conf = bench.workshop.root().join("etc/nix/nix.conf");
    fs::create_dir_all(conf.parent().unwrap()).unwrap();
    let without = bench.scratch.path().join("without");
    assert!(!enroll(&without).out.is_empty());
    assert!(without.join("trust.toml").exists());
    mkfifoat(CWD, &conf, Mode::RUSR | Mode::WUSR).unwrap();
    let with = bench.scratch.path().join("with");
    let run = enroll(&with);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.err.contains("nix.conf"), "{run:?}");
    assert_eq!(fs::read_dir(&with).unwrap().count(), 0);
}

#[test]
fn a_pipe_in_place_of_the_schema_keeps_nobody_waiting() {
    let bench = Bench::new();
    assert_eq!(bench.verify(&bench.toplevel()).code, Some(0));
    let schema = bench.workshop.root().join("nix/var/nix/db/schema");
    fs::remove_file(&schema).unwrap();
    mkfifoat(CWD, &schema, Mode::RUSR | Mode::WUSR).unwrap();
    let run = bench.verify(&bench.toplevel());
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.err.contains("no regular file"), "{run:?}");
}

#[test]
fn a_sparse_file_is_not_read_whatever_size_the_database_says() {
    for size in ["NULL", "4611686018427387904"] {
        let bench = Bench::new();
        assert_eq!(bench.verify(&bench.toplevel()).code, Some(0));
        let path = registered(&bench, "manual");
        let update = format!("UPDATE ValidPaths SET narSize = {size} WHERE path = '{path}'");
        bench.forge.connection().execute_batch(&update).unwrap();
        let file = first_file(&bench.forge.physical(&path));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let sparse = fs::OpenOptions::new().write(true).open(&file).unwrap();
        sparse.set_len(8 << 40).unwrap();
        let run = bench.verify(&bench.toplevel());
        assert_eq!(run.code, Some(1), "{size}: {run:?}");
        assert!(run.out.contains("too-large"), "{size}: {run:?}");
    }
}

fn registered(bench: &Bench, name: &str) -> StorePath {
    let query = format!("SELECT path FROM ValidPaths WHERE path LIKE '%-{name}'");
    let path: String = bench.forge.connection().query_row(&query, [], |row| row.get(0)).unwrap();
    StorePath::parse(&path).unwrap()
}

fn first_file(tree: &Path) -> std::path::PathBuf {
    if !tree.is_dir() {
        return tree.to_owned();
    }
    let mut entries: Vec<_> = fs::read_dir(tree).unwrap().map(|it| it.unwrap().path()).collect();
    entries.sort();
    let found = entries.iter().map(|it| first_file(it)).find(|it| it.is_file());
    found.unwrap()
}
