//! The signed string of every path in a store that Nix 2.8.0 made, from the bytes on disk and the database's
//! references, against the ones that an independent implementation computed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the fixture")]

#[path = "../../../tests/vectors/fixture.rs"]
mod fixture;

use fixture::Fixture;
use narwarden_core::closure::PathIndex;
use narwarden_core::evidence::Measured;
use narwarden_core::fingerprint::fingerprint;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{BUILT_IN, Policy};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use narwarden_store::{Database, Location, Options, Progress, measure};

#[test]
fn fingerprints_are_those_of_another_implementation() {
    let fixture = Fixture::unpack();
    let location = Location::new(fixture.root());
    let trust = format!("[keys]\nk1 = {{ public = \"{}\" }}\n", fixture.key("k1"));
    let trust = TrustSet::parse(&trust).unwrap().trust;
    let rulebook = Policy::parse(BUILT_IN).unwrap().policy.bind(&trust).unwrap().rulebook;
    let rows = fixture.rows::<2>("fingerprints.tsv");
    assert_eq!(rows.len(), 121);
    for [label, expected] in rows {
        let path = StorePath::parse(expected.split(';').nth(1).unwrap()).unwrap();
        let closure = Database::at(&location).closure(&path).unwrap().value;
        let scope = Scope::Path(PathIndex::TOPLEVEL);
        let plan = Plan::new(&closure, &rulebook, scope, Contents::Measured, Default::default());
        let measured = measure(&location, &plan, Options::default(), &Progress::default());
        let Some(Measured::Bytes(evidence)) = measured.get(&PathIndex::TOPLEVEL) else {
            panic!("{label}: {measured:?}");
        };
        let references: Vec<_> = closure
            .references(PathIndex::TOPLEVEL)
            .iter()
            .map(|reference| closure.claim(*reference).unwrap().path.clone())
            .collect();
        let found = fingerprint(&path, &evidence.nar_hash, evidence.nar_size, &references);
        assert_eq!(found, expected, "{label}");
    }
}
