//! D12: closures that were made to look smaller, larger, or other than they are.

use super::support::{Kind, assert_admitted, assert_denied, by_bytes, good};
use narwarden_forge::Column;

#[test]
fn d12_every_reference_of_a_signed_path_is_signed() {
    let (_workshop, mut forge, generation) = good();
    let paths = forge.paths().unwrap();
    let top = &generation.toplevel;
    let rows: Vec<(i64, i64)> = forge
        .connection()
        .prepare("SELECT referrer, reference FROM Refs")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(rows.len() > 15);
    for from in &paths {
        for to in &paths {
            let row = (forge.id(from).unwrap(), forge.id(to).unwrap());
            let toggle = |forge: &mut narwarden_forge::Forge, there: bool| {
                if there { forge.remove_reference(from, to) } else { forge.add_reference(from, to) }
            };
            let there = rows.contains(&row);
            toggle(&mut forge, there).unwrap();
            let found = by_bytes(&forge, top);
            assert!(matches!(found.verdict, Kind::Deny(_)), "{from} → {to}: {found:#?}");
            toggle(&mut forge, !there).unwrap();
        }
    }
    assert_admitted(&by_bytes(&forge, top));
}

#[test]
fn d12_references_that_lead_to_nothing_are_named() {
    for (reference, how) in [
        ("999999", "row 999999, which does not exist"),
        ("-1", "row -1, which does not exist"),
        ("x'00'", "a row number that is a blob"),
        ("'evil\u{1b}[2J'", "a row number that is a text"),
        ("0.5", "a row number that is a fraction"),
    ] {
        let (_workshop, forge, generation) = good();
        let bash = forge.id(&generation.bash).unwrap();
        let insert = format!("INSERT INTO Refs VALUES ({bash}, {reference})");
        forge.connection().execute(&insert, []).unwrap();
        let found = by_bytes(&forge, &generation.toplevel);
        assert_denied(&found, &["bash-5.3 missing-reference"]);
        assert!(found.details.iter().any(|it| it.contains(how)), "{found:#?}");
        forge.connection().execute("DELETE FROM Refs WHERE reference = ?1", [bash]).unwrap();
    }
}

#[test]
fn d12_a_row_that_is_no_store_path_is_a_missing_reference() {
    for path in ["", "/nix/store/", "/etc/passwd", "/nix/store/../../etc/passwd", "\u{1b}[2J\n"] {
        let (_workshop, mut forge, generation) = good();
        forge.set(&generation.text, Column::Path, path).unwrap();
        let found = by_bytes(&forge, &generation.toplevel);
        assert_denied(&found, &["etc bad-signature", "etc missing-reference"]);
        let printable = |it: &String| it.chars().all(|char| !char.is_control());
        assert!(found.details.iter().all(printable), "{found:#?}");
    }
}

#[test]
fn d12_such_a_row_with_references_of_its_own_is_refused_too() {
    // What it leads to is then led to by nothing, and no part of the closure.
    let (_workshop, mut forge, generation) = good();
    forge.set(&generation.source, Column::Path, "/etc/passwd").unwrap();
    let found = by_bytes(&forge, &generation.toplevel);
    assert!(matches!(found.verdict, Kind::Deny(_)), "{found:#?}");
    let dangling = "nixos-system-demo-26.05 missing-reference";
    assert!(found.why().iter().any(|it| it == dangling), "{found:#?}");
}

#[test]
fn d12_cycles_and_self_references_end() {
    let (_workshop, mut forge, generation) = good();
    forge.add_reference(&generation.glibc, &generation.toplevel).unwrap();
    assert_denied(&by_bytes(&forge, &generation.toplevel), &["glibc-2.42 bad-signature"]);
    forge.remove_reference(&generation.glibc, &generation.toplevel).unwrap();
    // Control: the self-references that belong there.
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
    forge.remove_reference(&generation.glibc, &generation.glibc).unwrap();
    assert_denied(&by_bytes(&forge, &generation.toplevel), &["glibc-2.42 bad-signature"]);
}

#[test]
fn d12_what_else_is_in_the_store_does_not_matter() {
    let (_workshop, mut forge, generation) = good();
    let other = forge.toplevel_with(&generation, &[&generation.text]).unwrap();
    forge.overwrite(&other, "activate", b"evil\n").unwrap();
    forge.set(&other, Column::Signatures, None::<String>).unwrap();
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
    let why = ["nixos-system-demo-26.05 content-drift", "nixos-system-demo-26.05 unsigned"];
    assert_denied(&by_bytes(&forge, &other), &why);
}
