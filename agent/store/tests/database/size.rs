//! A million references, in the shapes that a walk could be slow at.

use narwarden_core::store_path::StorePath;
use narwarden_forge::{Forge, Workshop};
use narwarden_store::{Database, Location};

const MILLION: i64 = 1_000_000;

/// A store of so many paths, with the references that `refer` inserts.
fn closure_of(paths: i64, refer: &str) -> (usize, usize) {
    let workshop = Workshop::new().unwrap();
    let forge = Forge::new(workshop.root()).unwrap();
    let connection = forge.connection();
    connection.execute_batch("BEGIN").unwrap();
    {
        let insert = "INSERT INTO ValidPaths (id, path, hash, registrationTime, narSize) \
                      VALUES (?1, ?2, ?3, 0, 8)";
        let mut insert = connection.prepare(insert).unwrap();
        let hash = format!("sha256:{}", "0".repeat(64));
        for number in 1..=paths {
            insert.execute((number, name(number), &hash)).unwrap();
        }
    }
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {paths}) "
    );
    connection.execute(&format!("{numbers} INSERT INTO Refs {refer}"), []).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    let toplevel = StorePath::parse(&name(1)).unwrap();
    let read = Database::at(&Location::new(workshop.root())).closure(&toplevel).unwrap();
    let references = read.value.claims().map(|(index, _)| read.value.references(index).len()).sum();
    (read.value.claims().len(), references)
}

fn name(number: i64) -> String {
    format!("/nix/store/{number:032}-part")
}

#[test]
fn every_path_refers_to_every_other() {
    assert_eq!(closure_of(1000, "SELECT a.i, b.i FROM n a, n b"), (1000, 1_000_000));
}

#[test]
fn one_path_refers_to_all_others() {
    let paths = MILLION / 4;
    let references = usize::try_from(paths).unwrap();
    assert_eq!(closure_of(paths, "SELECT 1, i FROM n"), (references, references));
}

#[test]
fn a_chain_that_ends_where_it_began() {
    let paths = MILLION / 4;
    let references = usize::try_from(paths).unwrap();
    let next = format!("SELECT i, i % {paths} + 1 FROM n");
    assert_eq!(closure_of(paths, &next), (references, references));
}

#[test]
fn layers_that_have_more_ways_through_than_atoms_are_walked_once() {
    // A thousand layers of ten paths, each referring to all ten of the next.
    let refer = "SELECT i, (i + 8) / 10 * 10 + 2 + value FROM n, json_each('[0,1,2,3,4,5,6,7,8,9]') \
                 WHERE (i + 8) / 10 * 10 + 2 + value <= 10001";
    let (paths, references) = closure_of(10_001, refer);
    assert_eq!((paths, references), (10_001, 99_910));
}
