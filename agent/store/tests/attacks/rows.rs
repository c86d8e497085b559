//! D02, D04, D13, D14: rows that lie, lack something, or hold what Nix never writes.

use super::support::{Found, Kind, assert_admitted, assert_denied, by_bytes, good};
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Column, Forge, Generation};
use rusqlite::types::Value;

/// Sets a column whatever the table's constraints are.
fn force(forge: &mut Forge, path: &StorePath, column: Column, value: Value) {
    let loosened = "PRAGMA writable_schema = 1;
         UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'ValidPaths';
         PRAGMA writable_schema = RESET;";
    forge.connection().execute_batch(loosened).unwrap();
    forge.set(path, column, value).unwrap();
}

fn blob() -> Value {
    Value::Blob(vec![0xff, 0, b'\n', 0x1b])
}

fn huge() -> Value {
    Value::Text("x".repeat(5 << 20))
}

#[test]
fn d02_a_row_that_was_changed_alone_is_drift_too() {
    let (_workshop, mut forge, generation) = good();
    let Generation { bash, source, toplevel, .. } = &generation;
    for path in [bash, source] {
        let why = format!("{} database-drift", path.name());
        forge.set(path, Column::Hash, format!("sha256:{}", "0".repeat(64))).unwrap();
        assert_denied(&by_bytes(&forge, toplevel), &[&why]);
        forge.adjust_row(path).unwrap();
        forge.set(path, Column::NarSize, 8).unwrap();
        assert_denied(&by_bytes(&forge, toplevel), &[&why]);
        forge.adjust_row(path).unwrap();
        assert_admitted(&by_bytes(&forge, toplevel));
    }
}

#[test]
fn d04_ultimate_changes_nothing() {
    let (_workshop, mut forge, generation) = good();
    for value in [Value::Integer(1), Value::Integer(0), Value::Null, blob()] {
        for path in forge.paths().unwrap() {
            forge.set(&path, Column::Ultimate, value.clone()).unwrap();
        }
        assert_admitted(&by_bytes(&forge, &generation.toplevel));
    }
    for path in forge.paths().unwrap() {
        forge.set(&path, Column::Ultimate, 1).unwrap();
        forge.set(&path, Column::Signatures, "").unwrap();
    }
    let found = by_bytes(&forge, &generation.toplevel);
    let input = Reason::Unsigned;
    // Everything but the five content-addressed paths.
    assert_eq!(found.denials.len(), 7, "{found:#?}");
    assert!(found.denials.iter().all(|(_, reason)| *reason == input));
}

#[test]
fn d13_missing_below_and_above() {
    let (_workshop, mut forge, generation) = good();
    let gone: [&StorePath; 3] = [&generation.text, &generation.glibc, &generation.toplevel];
    for path in gone {
        forge
            .change(path, |at| {
                if at.is_dir() { std::fs::remove_dir_all(at) } else { std::fs::remove_file(at) }
            })
            .unwrap();
    }
    let why = [
        "os-release missing-path",
        "glibc-2.42 missing-path",
        "nixos-system-demo-26.05 missing-path",
    ];
    assert_denied(&by_bytes(&forge, &generation.toplevel), &why);
}

#[test]
fn d13_a_store_that_is_not_there() {
    let (_workshop, forge, generation) = good();
    std::fs::rename(forge.root().join("nix/store"), forge.root().join("nix/elsewhere")).unwrap();
    let found = by_bytes(&forge, &generation.toplevel);
    assert_eq!(found.why().len(), 12);
    assert!(found.denials.iter().all(|(_, reason)| *reason == Reason::Unreadable), "{found:#?}");
    std::fs::rename(forge.root().join("nix/elsewhere"), forge.root().join("nix/store")).unwrap();
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
}

#[test]
fn d13_a_path_that_may_not_be_read() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything; see `root::d13_as_another_user`.
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let (_workshop, forge, generation) = good();
    let file = forge.file(&generation.bash, "bin/bash");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o0)).unwrap();
    assert_denied(&by_bytes(&forge, &generation.toplevel), &["bash-5.3 unreadable"]);
    let directory = forge.file(&generation.etc, "systemd");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o0)).unwrap();
    let why = ["bash-5.3 unreadable", "etc unreadable"];
    assert_denied(&by_bytes(&forge, &generation.toplevel), &why);
    narwarden_forge::unlock(&forge.physical(&generation.etc)).unwrap();
}

/// Every column of a judged row, with everything that SQLite can hold. `None` for what must change nothing.
#[test]
fn d14_wrong_types_in_a_judged_row_are_findings() {
    let text = |text: &str| Value::Text(text.to_owned());
    let bash = |code: &'static str| Some(vec![format!("bash-5.3 {code}")]);
    let no_sigs =
        || Some(vec!["bash-5.3 malformed-claim".to_owned(), "bash-5.3 unsigned".to_owned()]);
    let cases: Vec<(Column, Value, Option<Vec<String>>)> = vec![
        (Column::Hash, Value::Null, bash("malformed-claim")),
        (Column::Hash, Value::Integer(1), bash("malformed-claim")),
        (Column::Hash, Value::Real(0.5), bash("malformed-claim")),
        (Column::Hash, blob(), bash("malformed-claim")),
        (Column::Hash, text(""), bash("malformed-claim")),
        (Column::Hash, text("sha256:"), bash("malformed-claim")),
        (Column::Hash, text("md5:00000000000000000000000000000000"), bash("malformed-claim")),
        (Column::Hash, huge(), bash("malformed-claim")),
        (Column::NarSize, Value::Null, None),
        (Column::NarSize, Value::Integer(0), None),
        (Column::NarSize, Value::Integer(-1), bash("malformed-claim")),
        (Column::NarSize, Value::Integer(i64::MIN), bash("malformed-claim")),
        (Column::NarSize, Value::Integer(i64::MAX), bash("database-drift")),
        (Column::NarSize, Value::Real(f64::INFINITY), bash("malformed-claim")),
        (Column::NarSize, Value::Real(0.5), bash("malformed-claim")),
        (Column::NarSize, text("many"), bash("malformed-claim")),
        (Column::NarSize, blob(), bash("malformed-claim")),
        (Column::NarSize, huge(), bash("malformed-claim")),
        (Column::ContentAddress, text(""), None),
        (Column::ContentAddress, text("fixed:"), bash("malformed-claim")),
        (Column::ContentAddress, text("fixed:z:sha256:0"), bash("malformed-claim")),
        (Column::ContentAddress, text("\u{1b}[2J"), bash("malformed-claim")),
        (Column::ContentAddress, Value::Integer(7), bash("malformed-claim")),
        (Column::ContentAddress, blob(), bash("malformed-claim")),
        (Column::ContentAddress, huge(), bash("malformed-claim")),
        (Column::Signatures, Value::Null, bash("unsigned")),
        (Column::Signatures, text(""), bash("unsigned")),
        (Column::Signatures, Value::Integer(7), bash("unsigned")),
        (Column::Signatures, blob(), no_sigs()),
        (Column::Signatures, huge(), bash("unsigned")),
        (Column::RegistrationTime, Value::Null, None),
        (Column::RegistrationTime, blob(), None),
        (Column::RegistrationTime, huge(), None),
        (Column::Deriver, text("/etc/passwd"), None),
        (Column::Deriver, blob(), None),
        (Column::Deriver, huge(), None),
        (Column::Ultimate, huge(), None),
    ];
    for (column, value, expected) in cases {
        let (_workshop, mut forge, generation) = good();
        let shown: String = format!("{column:?} {value:?}").chars().take(80).collect();
        force(&mut forge, &generation.bash, column, value);
        let found = by_bytes(&forge, &generation.toplevel);
        match expected {
            None => assert_eq!(found.verdict, Kind::Admit, "{shown}: {found:#?}"),
            Some(why) => {
                assert!(matches!(found.verdict, Kind::Deny(_)), "{shown}: {found:#?}");
                assert_eq!(found.why(), why, "{shown}: {found:#?}");
            }
        }
        assert!(found.details.iter().all(|it| it.len() < 1000), "{shown}");
        assert!(found.details.iter().all(|it| !it.contains('\u{1b}')), "{shown}: {found:#?}");
    }
}

#[test]
fn d14_an_unknown_size_is_noted() {
    let (_workshop, mut forge, generation) = good();
    forge.set(&generation.bash, Column::NarSize, None::<i64>).unwrap();
    let found = by_bytes(&forge, &generation.toplevel);
    assert_admitted(&found);
    assert_eq!(found.notes, [("bash-5.3".to_owned(), Reason::DatabaseDrift)]);
}

#[test]
fn d14_every_spelling_of_the_hash_is_the_hash() {
    let (_workshop, mut forge, generation) = good();
    let hash: String = forge
        .connection()
        .query_row(
            "SELECT hash FROM ValidPaths WHERE path = ?1",
            [generation.bash.to_string()],
            |it| it.get(0),
        )
        .unwrap();
    let hash = narwarden_core::hash::NarHash::parse(&hash).unwrap();
    for spelling in [
        hash.to_base16(),
        hash.to_string(),
        hash.to_sri(),
        hash.to_base16().to_uppercase().replace("SHA", "sha"),
    ] {
        forge.set(&generation.bash, Column::Hash, &spelling).unwrap();
        assert_admitted(&by_bytes(&forge, &generation.toplevel));
    }
}

/// What a row of no closure holds: (path, hash, narSize, sigs, ca).
type Row = (Value, Value, Value, Value, Value);

#[test]
fn d14_bad_rows_elsewhere_have_no_effect() {
    let text = |text: &str| Value::Text(text.to_owned());
    let rows: [Row; 5] = [
        (blob(), blob(), blob(), blob(), blob()),
        (Value::Integer(7), text(""), Value::Null, huge(), text("fixed:z:nonsense")),
        (huge(), huge(), huge(), huge(), huge()),
        (text("/nix/store/\u{1b}[2J"), Value::Integer(0), Value::Real(0.5), Value::Null, blob()),
        (text("/nix/store/../etc"), text("x"), Value::Integer(-1), text("x"), text("text:md5:")),
    ];
    let (_workshop, forge, generation) = good();
    for (path, hash, size, sigs, ca) in rows {
        let insert = "INSERT INTO ValidPaths (path, hash, registrationTime, narSize, sigs, ca) \
                      VALUES (?1, ?2, 0, ?3, ?4, ?5)";
        forge.connection().execute(insert, rusqlite::params![path, hash, size, sigs, ca]).unwrap();
        assert_admitted(&by_bytes(&forge, &generation.toplevel));
    }
    // They may even refer to what is judged, and to each other.
    let refer = "INSERT INTO Refs SELECT a.id, b.id FROM ValidPaths a, ValidPaths b \
                 WHERE a.id > 12";
    assert!(forge.connection().execute(refer, []).unwrap() > 60);
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
}

#[test]
fn d14_a_path_of_the_wrong_type_in_the_closure_is_a_missing_reference() {
    for value in [blob(), Value::Integer(7), Value::Real(0.5), huge(), Value::Null] {
        let (_workshop, mut forge, generation) = good();
        let as_blob = value == blob();
        force(&mut forge, &generation.text, Column::Path, value);
        let found = by_bytes(&forge, &generation.toplevel);
        assert_denied(&found, &["etc bad-signature", "etc missing-reference"]);
        assert!(!as_blob || found.details.iter().any(|it| it.contains("a blob")), "{found:#?}");
    }
    // The very bytes of the path, as a blob, are not the path.
    let (_workshop, mut forge, generation) = good();
    let bytes = generation.toplevel.to_string().into_bytes();
    force(&mut forge, &generation.toplevel, Column::Path, Value::Blob(bytes));
    assert_denied(&by_bytes(&forge, &generation.toplevel), &[" missing-path"]);
}

#[test]
fn d14_columns_and_tables_that_others_add_are_ignored() {
    let (_workshop, forge, generation) = good();
    let more = "ALTER TABLE ValidPaths ADD COLUMN provenance text;
         UPDATE ValidPaths SET provenance = '{';
         CREATE TABLE SchemaMigrations (migration text PRIMARY KEY NOT NULL);
         CREATE TABLE BuildTraceV3 (id integer, drvPath text);
         DROP INDEX IndexReferrer;";
    forge.connection().execute_batch(more).unwrap();
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
}

fn after(change: &str) -> Found {
    let (_workshop, forge, generation) = good();
    forge.connection().execute_batch(change).expect(change);
    by_bytes(&forge, &generation.toplevel)
}

#[test]
fn d14_a_schema_that_is_not_nix_s_is_not_read() {
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    for change in [
        "DROP TABLE Refs".to_owned(),
        "ALTER TABLE ValidPaths RENAME TO Elsewhere".to_owned(),
        "ALTER TABLE ValidPaths RENAME TO T; CREATE VIEW ValidPaths AS SELECT * FROM T".to_owned(),
        format!(
            "DROP TABLE Refs; CREATE VIEW Refs AS SELECT i AS referrer, i AS reference FROM ({endless})"
        ),
        "DROP TABLE Refs; CREATE VIRTUAL TABLE Refs USING fts5(referrer, reference)".to_owned(),
        "ALTER TABLE ValidPaths DROP COLUMN ca".to_owned(),
    ] {
        assert_eq!(after(&change).verdict, Kind::Unknown, "{change}");
    }
}

#[test]
fn d14_rows_that_stand_twice_contradict_each_other_or_are_judged_both() {
    // Without the constraint, two rows may be about one path.
    let copy = |what: &str| {
        format!(
            "CREATE TABLE T AS SELECT * FROM ValidPaths; DROP TABLE ValidPaths;
             ALTER TABLE T RENAME TO ValidPaths;
             INSERT INTO ValidPaths SELECT id + 100, path, hash, registrationTime, deriver, narSize, ultimate, NULL, ca
                 FROM ValidPaths WHERE path LIKE '%{what}';"
        )
    };
    // The twin of the toplevel is reached, and unsigned.
    let found = after(&copy("nixos-system-demo-26.05"));
    assert_ne!(found.verdict, Kind::Admit, "{found:#?}");
    // The twin of a part is nobody's reference.
    let found = after(&copy("bash-5.3"));
    assert_eq!(found.verdict, Kind::Admit, "{found:#?}");
    // Nor does a twin stand in for the signed one.
    let both = format!(
        "{} INSERT INTO Refs SELECT referrer, reference + 100 FROM Refs WHERE reference = 2;",
        copy("bash-5.3")
    );
    let found = after(&both);
    assert!(matches!(found.verdict, Kind::Deny(_)), "{found:#?}");
}

#[test]
fn d14_a_collation_makes_no_other_path_the_toplevel() {
    let change = "CREATE TABLE T (id integer PRIMARY KEY, path text COLLATE NOCASE, hash, registrationTime, deriver, narSize, ultimate, sigs, ca);
         INSERT INTO T SELECT * FROM ValidPaths; DROP TABLE ValidPaths; ALTER TABLE T RENAME TO ValidPaths;
         UPDATE ValidPaths SET path = replace(path, 'nixos-system', 'NIXOS-system');";
    let found = after(change);
    assert_ne!(found.verdict, Kind::Admit, "{found:#?}");
}
