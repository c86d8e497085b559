//! What stands in the place of the daemon's unit, in systems that are signed and nothing else is wrong with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

use narwarden_core::agent::UNIT;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Forge, Rules, Tree, Workshop, ci, release};
use narwarden_store::Location;
use narwarden_store::agent::{Asked, asked};
use std::fs;
use std::os::unix::fs::symlink;
use support::{assert_admitted, assert_denied, by_bytes, by_policy};

const NAME: &str = "nixos-system-demo-26.05";
const REMOVED: &str = "nixos-system-demo-26.05 agent-removed";
const UNREADABLE: &str = "nixos-system-demo-26.05 unreadable";
const TEXT: &str = "[Service]\nExecStart=/bin/narwardend\n";

struct Store {
    _workshop: Workshop,
    forge: Forge,
    /// Where all systems have their units.
    units: StorePath,
    systems: u32,
}

impl Store {
    fn new() -> Self {
        let workshop = Workshop::new().unwrap();
        let mut forge = Forge::new(workshop.root()).unwrap();
        let tree = Tree::directory([("narwardend.service", Tree::file(TEXT))]);
        let units = add(&mut forge, "system-units", &tree, &[]);
        Self { _workshop: workshop, forge, units, systems: 0 }
    }

    fn system(&mut self, entries: &[(&str, Tree)], references: &[&StorePath]) -> StorePath {
        // Equal ones would be one path.
        self.systems += 1;
        let version = [("nixos-version", Tree::file(format!("26.05.{}", self.systems)))];
        let tree = Tree::directory(version.into_iter().chain(entries.iter().cloned()));
        add(&mut self.forge, NAME, &tree, references)
    }

    /// As NixOS makes one: the directory of units lies elsewhere.
    fn with_unit(&mut self, more: &[(&str, Tree)], references: &[&StorePath]) -> StorePath {
        let units = self.units.clone();
        let link = ("etc/systemd/system", Tree::symlink(units.to_string()));
        let entries: Vec<_> = [link].into_iter().chain(more.iter().cloned()).collect();
        let references: Vec<_> = [&units].into_iter().chain(references.iter().copied()).collect();
        self.system(&entries, &references)
    }

    fn with(&mut self, unit: Tree) -> StorePath {
        self.system(&[(UNIT, unit)], &[])
    }

    fn link(&self, name: &str, target: &str) {
        let run = self.forge.root().join("run");
        fs::create_dir_all(&run).unwrap();
        let _ = fs::remove_file(run.join(name));
        symlink(target, run.join(name)).unwrap();
    }

    fn run(&self, name: &str, system: &StorePath) {
        self.link(name, &system.to_string());
    }

    fn asked(&self) -> Asked {
        asked(&Location::new(self.forge.root()))
    }
}

fn add(forge: &mut Forge, name: &str, tree: &Tree, references: &[&StorePath]) -> StorePath {
    let path = forge.add(name, tree, Addressing::Input, references).unwrap();
    forge.sign(&path, &[&ci(), &release()]).unwrap();
    path
}

fn may_leave() -> String {
    format!("{}agent = \"may-leave\"\n", Rules::good().policy)
}

/// A store whose running system brings the unit.
fn guarded() -> Store {
    let mut store = Store::new();
    let running = store.with_unit(&[], &[]);
    store.run("current-system", &running);
    store
}

#[test]
fn a_system_that_takes_the_unit_away_is_refused() {
    let mut store = guarded();
    let masked = Tree::directory([("narwardend.service", Tree::symlink("/dev/null"))]);
    let masked = add(&mut store.forge, "system-units", &masked, &[]);
    let elsewhere = store.units.to_string();
    let systems = [
        (store.system(&[], &[]), "there is none"),
        (store.system(&[("etc/systemd", Tree::file(""))], &[]), "there is none"),
        (store.with(Tree::symlink("/dev/null")), "\"/dev/null\""),
        (store.with(Tree::symlink("../../../../../dev/null")), "leads out of the store"),
        (store.with(Tree::symlink("/run/narwardend.service")), "\"/run/narwardend.service\""),
        (store.with(Tree::symlink("gone")), "there is none"),
        (store.with(Tree::file("")), "it is empty"),
        (store.with(Tree::directory([("a", Tree::file("a"))])), "it is a directory"),
        (
            store.system(&[("etc/systemd/system", Tree::symlink(masked.to_string()))], &[&masked]),
            "\"/dev/null\"",
        ),
        // Nobody vouches for it as a part of this system, and nothing keeps it there.
        (
            store.system(&[("etc/systemd/system", Tree::symlink(elsewhere))], &[]),
            "outside of the closure",
        ),
    ];
    for (system, why) in &systems {
        let found = by_bytes(&store.forge, system);
        assert_denied(&found, &[REMOVED]);
        assert!(found.details.iter().all(|it| it.contains(UNIT) && it.contains(why)), "{found:#?}");
        // Control: the operator lets it go.
        assert_admitted(&by_policy(&store.forge, system, &may_leave()));
    }
    // Control: nothing asks for it.
    store.link("current-system", "/nowhere");
    for (system, _) in &systems {
        assert_admitted(&by_bytes(&store.forge, system));
    }
}

#[test]
fn a_system_that_brings_the_unit_is_admitted() {
    let mut store = guarded();
    for system in [
        store.with_unit(&[], &[]),
        store.with(Tree::file(TEXT)),
        store.system(&[("unit", Tree::file(TEXT)), (UNIT, Tree::symlink("../../../unit"))], &[]),
    ] {
        assert_admitted(&by_bytes(&store.forge, &system));
    }
}

#[test]
fn what_is_no_system_is_not_asked() {
    let mut store = guarded();
    for tree in [
        Tree::directory([("bin/hello", Tree::executable("hello"))]),
        // A user's home, and a profile of packages that a tool activates.
        Tree::directory([("activate", Tree::executable("#!/bin/sh\n"))]),
        Tree::directory([("deploy-rs-activate", Tree::executable("#!/bin/sh\n"))]),
        Tree::directory([("bin/switch-to-configuration", Tree::executable("program"))]),
    ] {
        let path = add(&mut store.forge, "other", &tree, &[]);
        assert_admitted(&by_bytes(&store.forge, &path));
    }
    // Controls: each of these is a system.
    for names in [
        &["init"][..],
        &["dry-activate"],
        &["prepare-root"],
        &["bin/.switch-to-configuration-wrapped"],
        &["activate", "bin/switch-to-configuration"],
    ] {
        let entries = names.iter().map(|name| (*name, Tree::executable("#!/bin/sh\n")));
        let path = add(&mut store.forge, NAME, &Tree::directory(entries), &[]);
        assert_denied(&by_bytes(&store.forge, &path), &[REMOVED]);
    }
}

#[test]
fn a_specialisation_has_to_bring_it_too() {
    let mut store = guarded();
    let (with, without) = (store.with_unit(&[], &[]), store.system(&[], &[]));
    let nested = store
        .with_unit(&[("specialisation/deep", Tree::symlink(without.to_string()))], &[&without]);
    for (child, place) in [
        (&with, None),
        (&without, Some("specialisation/quiet/etc")),
        (&nested, Some("specialisation/quiet/specialisation/deep/etc")),
    ] {
        let link = ("specialisation/quiet", Tree::symlink(child.to_string()));
        let parent = store.with_unit(&[link], &[child]);
        let found = by_bytes(&store.forge, &parent);
        match place {
            None => assert_admitted(&found),
            Some(place) => {
                assert_denied(&found, &[REMOVED]);
                assert!(found.details[0].contains(place), "{found:#?}");
            }
        }
    }
    // One that lies within the tree.
    let within = ("specialisation/quiet/activate", Tree::executable("#!/bin/sh\n"));
    let within = store.with_unit(&[within], &[]);
    assert_denied(&by_bytes(&store.forge, &within), &[REMOVED]);
}

#[test]
fn more_specialisations_than_are_looked_at_cannot_be_told() {
    let mut store = guarded();
    // It leads back to itself for ever.
    let loops = store.with_unit(&[("specialisation/again", Tree::symlink(".."))], &[]);
    let file = store.with_unit(&[("specialisation", Tree::file("none"))], &[]);
    for system in [loops, file] {
        assert_denied(&by_bytes(&store.forge, &system), &[UNREADABLE]);
        assert_admitted(&by_policy(&store.forge, &system, &may_leave()));
    }
}

#[test]
fn what_runs_or_was_booted_asks() {
    let mut store = Store::new();
    let (with, without) = (store.with_unit(&[], &[]), store.system(&[], &[]));
    let masked = store.with(Tree::symlink("/dev/null"));
    let looped = store.with(Tree::symlink("narwardend.service"));
    let of = |path: &StorePath| path.to_string();
    for (current, booted, expected) in [
        (None, None, Asked::No),
        (Some(of(&with)), None, Asked::Yes),
        (None, Some(of(&with)), Asked::Yes),
        (Some(of(&without)), Some(of(&with)), Asked::Yes),
        (Some(of(&without)), Some(of(&masked)), Asked::No),
        (Some("/etc".to_owned()), Some("current-system".to_owned()), Asked::No),
        (Some(of(&looped)), Some(of(&with)), Asked::Yes),
    ] {
        for (name, target) in [("current-system", &current), ("booted-system", &booted)] {
            store.link(name, target.as_deref().unwrap_or("/nowhere"));
        }
        assert_eq!(store.asked(), expected, "{current:?} {booted:?}");
        let found = by_bytes(&store.forge, &without);
        match expected {
            Asked::Yes => assert_denied(&found, &[REMOVED]),
            Asked::No => assert_admitted(&found),
            Asked::Unknown(why) => panic!("{why}"),
        }
    }
}

#[test]
fn what_cannot_be_told_of_what_runs_denies() {
    let mut store = Store::new();
    let looped = store.with(Tree::symlink("narwardend.service"));
    store.run("current-system", &looped);
    assert!(matches!(store.asked(), Asked::Unknown(_)));
    let (with, without) = (store.with_unit(&[], &[]), store.system(&[], &[]));
    for system in [with, without] {
        assert_denied(&by_bytes(&store.forge, &system), &[UNREADABLE]);
        assert_admitted(&by_policy(&store.forge, &system, &may_leave()));
    }
    let hello = Tree::directory([("bin/hello", Tree::executable("hello"))]);
    let hello = add(&mut store.forge, "hello", &hello, &[]);
    assert_admitted(&by_bytes(&store.forge, &hello));
}
