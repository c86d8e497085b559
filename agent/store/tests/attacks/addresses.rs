//! D03, D16, D21, D23: what a content address proves, and what it does not.

use super::support::{assert_admitted, assert_denied, by_bytes, by_policy, good};
use narwarden_core::content_address::Method;
use narwarden_core::hash::Algorithm;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Column, Forge, Generation, SELF, Tree, ci, release};

const MISMATCH: &str = "object content-address-mismatch";

/// Adds an object, and a signed toplevel that refers to it.
fn with(
    forge: &mut Forge,
    generation: &Generation,
    tree: &Tree,
    method: Method,
    algorithm: Algorithm,
    references: &[&StorePath],
) -> (StorePath, StorePath) {
    let addressing = Addressing::Content(method, algorithm);
    let object = forge.add("object", tree, addressing, references).unwrap();
    let toplevel = forge.toplevel_with(generation, &[&object]).unwrap();
    (object, toplevel)
}

#[test]
fn d03_every_method_is_recomputed_from_bytes() {
    let file = || Tree::file("contents\n");
    let tree = || Tree::directory([("a", Tree::file("a")), ("b/c", Tree::executable("c"))]);
    let itself = || Tree::directory([("me", Tree::file(format!("{SELF}{SELF} {SELF}")))]);
    let long = || Tree::file(vec![7; 300_000]);
    let cases = [
        (file(), Method::Flat, Algorithm::Sha256),
        (file(), Method::Flat, Algorithm::Sha512),
        (long(), Method::Flat, Algorithm::Blake3),
        (file(), Method::Text, Algorithm::Sha256),
        (tree(), Method::Nar, Algorithm::Sha256),
        (tree(), Method::Nar, Algorithm::Sha512),
        (long(), Method::Nar, Algorithm::Sha256),
        (itself(), Method::Nar, Algorithm::Sha256),
        (tree(), Method::Git, Algorithm::Sha256),
        (Tree::symlink("target"), Method::Nar, Algorithm::Sha256),
    ];
    for (tree, method, algorithm) in cases {
        let (_workshop, mut forge, generation) = good();
        let (object, toplevel) = with(&mut forge, &generation, &tree, method, algorithm, &[]);
        assert_admitted(&by_bytes(&forge, &toplevel));
        let evil = Tree::file("evil\n");
        forge
            .change(&object, |at| {
                if at.is_dir() {
                    std::fs::remove_dir_all(at)?
                } else {
                    std::fs::remove_file(at)?
                }
                std::fs::write(at, "evil\n")
            })
            .unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &[MISMATCH, "object content-drift"]);
        forge.adjust_row(&object).unwrap();
        assert_eq!(Tree::read(&forge.physical(&object)).unwrap(), evil);
        assert_denied(&by_bytes(&forge, &toplevel), &[MISMATCH]);
        // Not even a signature makes up for an address that does not hold.
        forge.sign(&object, &[&ci(), &release()]).unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &[MISMATCH]);
        // Control: the address no longer claimed, and somebody vouching for what is there.
        forge.set(&object, Column::ContentAddress, None::<String>).unwrap();
        assert_admitted(&by_bytes(&forge, &toplevel));
    }
}

#[test]
fn d03_flat_and_text_are_about_one_regular_file() {
    for method in [Method::Flat, Method::Text] {
        let (_workshop, mut forge, generation) = good();
        let (object, toplevel) =
            with(&mut forge, &generation, &Tree::file("x"), method, Algorithm::Sha256, &[]);
        let copy = forge.root().join("x");
        std::fs::write(&copy, "x").unwrap();
        forge
            .change(&object, |at| {
                std::fs::remove_file(at)?;
                std::os::unix::fs::symlink(&copy, at)
            })
            .unwrap();
        forge.adjust_row(&object).unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &[MISMATCH]);
        forge
            .change(&object, |at| {
                std::fs::remove_file(at)?;
                std::fs::create_dir(at)?;
                std::fs::write(at.join("x"), "x")
            })
            .unwrap();
        forge.adjust_row(&object).unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &[MISMATCH]);
    }
}

#[test]
fn d03_an_address_is_bound_to_its_name() {
    // The right address of the right bytes, under a path of the attacker's choice.
    let (_workshop, mut forge, generation) = good();
    let address: String = forge
        .connection()
        .query_row(
            "SELECT ca FROM ValidPaths WHERE path = ?1",
            [generation.text.to_string()],
            |it| it.get(0),
        )
        .unwrap();
    forge.overwrite(&generation.archive, "", b"ID=nixos\nVERSION_ID=26.05\n").unwrap();
    forge.adjust_row(&generation.archive).unwrap();
    forge.set(&generation.archive, Column::ContentAddress, address).unwrap();
    let found = by_bytes(&forge, &generation.toplevel);
    assert_denied(&found, &["demo-1.0.tar.gz content-address-mismatch"]);
}

#[test]
fn d03_a_false_address_on_a_signed_path_is_refused() {
    let (_workshop, mut forge, generation) = good();
    let zeros = "0".repeat(52);
    for address in ["fixed:r:sha256:", "fixed:sha256:", "text:sha256:", "fixed:git:sha256:"] {
        let address = format!("{address}{zeros}");
        forge.set(&generation.bash, Column::ContentAddress, address).unwrap();
        let found = by_bytes(&forge, &generation.toplevel);
        assert_denied(&found, &["bash-5.3 content-address-mismatch"]);
    }
}

#[test]
fn d16_weakness_is_taken_kind_by_kind() {
    let with_list =
        |list: &str| format!("[require]\ndefault = \"ci\"\nweak-content-address = [{list}]\n");
    let weak = ["object weak-content-address"];
    for (tree, method, algorithm, needs, others) in [
        (
            Tree::executable("x"),
            Method::Flat,
            Algorithm::Md5,
            "\"md5\", \"executable-flat\"",
            ["\"md5\"", "\"executable-flat\"", "\"sha1\", \"legacy-self-reference\""],
        ),
        (
            Tree::directory([("x", Tree::file("x"))]),
            Method::Git,
            Algorithm::Sha1,
            "\"sha1\"",
            ["\"md5\"", "\"executable-flat\"", "\"legacy-self-reference\""],
        ),
        (
            Tree::executable("x"),
            Method::Text,
            Algorithm::Sha256,
            "\"executable-flat\"",
            ["\"md5\"", "\"sha1\"", "\"legacy-self-reference\""],
        ),
    ] {
        let (_workshop, mut forge, generation) = good();
        let (object, toplevel) = with(&mut forge, &generation, &tree, method, algorithm, &[]);
        assert_denied(&by_bytes(&forge, &toplevel), &weak);
        for list in others {
            assert_denied(&by_policy(&forge, &toplevel, &with_list(list)), &weak);
        }
        assert_admitted(&by_policy(&forge, &toplevel, &with_list(needs)));
        forge.sign(&object, &[&ci()]).unwrap();
        assert_admitted(&by_bytes(&forge, &toplevel));
    }
}

#[test]
fn d16_the_second_build_of_a_legacy_path_is_weak_too() {
    let (_workshop, mut forge, generation) = good();
    let two = Tree::file(format!("{SELF}|{SELF}"));
    let object = forge.add("object", &two, Addressing::LegacySelfReference, &[]).unwrap();
    let toplevel = forge.toplevel_with(&generation, &[&object]).unwrap();
    assert_denied(&by_bytes(&forge, &toplevel), &["object weak-content-address"]);
    // Another build of the same path: one reference made NULs.
    let zeros = "\0".repeat(SELF.len());
    let other = format!("{}|{zeros}", object.hash_part());
    forge.overwrite(&object, "", other.as_bytes()).unwrap();
    forge.adjust_row(&object).unwrap();
    assert_denied(&by_bytes(&forge, &toplevel), &["object weak-content-address"]);
    // The strict hash tells them apart.
    let object = forge
        .add("strict", &two, Addressing::Content(Method::Nar, Algorithm::Sha256), &[])
        .unwrap();
    let toplevel = forge.toplevel_with(&generation, &[&object]).unwrap();
    assert_admitted(&by_bytes(&forge, &toplevel));
    let other = format!("{}|{zeros}", object.hash_part());
    forge.overwrite(&object, "", other.as_bytes()).unwrap();
    forge.adjust_row(&object).unwrap();
    assert_denied(&by_bytes(&forge, &toplevel), &["strict content-address-mismatch"]);
}

#[test]
fn d21_a_local_users_toplevel_of_any_method() {
    let (_workshop, mut forge, generation) = good();
    let name = "nixos-system-demo-26.05";
    let text = Tree::executable(format!("#!{}/bin/bash\n", generation.bash));
    let by = |method| Addressing::Content(method, Algorithm::Sha256);
    for (tree, addressing, references) in [
        (&text, by(Method::Text), vec![&generation.bash]),
        (&text, by(Method::Flat), vec![]),
        (&Tree::file("x"), by(Method::Nar), vec![]),
        (&Tree::file("x"), by(Method::Git), vec![]),
    ] {
        let toplevel = forge.add(name, tree, addressing, &references).unwrap();
        assert_denied(&by_bytes(&forge, &toplevel), &["nixos-system-demo-26.05 unsigned"]);
        let any = "[require]\ndefault = \"any\"\n";
        assert_denied(&by_policy(&forge, &toplevel, any), &["nixos-system-demo-26.05 unsigned"]);
        // Control: who builds their toplevels content-addressed signs them.
        forge.sign(&toplevel, &[&ci(), &release()]).unwrap();
        assert_admitted(&by_bytes(&forge, &toplevel));
    }
}

#[test]
fn d21_one_weak_part_is_enough_below_such_a_toplevel() {
    let (_workshop, mut forge, generation) = good();
    let toplevel = forge.content_addressed_toplevel(&generation).unwrap();
    let policy = "[require]\ndefault = \"ci\"\ncontent-addressed-toplevel = true\n";
    assert_admitted(&by_policy(&forge, &toplevel, policy));
    let signed = format!("{policy}content-addressed = \"signed\"\n");
    let found = by_policy(&forge, &toplevel, &signed);
    let names = ["demo-1.0.tar.gz", "manual", "nixos-system-demo-26.05", "os-release", "source"];
    assert_denied(&found, &names.map(|name| format!("{name} unsigned")).each_ref().map(|it| &**it));
    let denied = format!("{policy}content-addressed = \"deny\"\n");
    let found = by_policy(&forge, &toplevel, &denied);
    let codes = names.map(|it| [format!("{it} unsigned"), format!("{it} denied-content-address")]);
    let codes = codes.concat();
    assert_denied(&found, &codes.iter().map(|it| &**it).collect::<Vec<_>>());
}

#[test]
fn d23_references_are_part_of_text_and_nar_addresses_and_flat_ones_have_none() {
    for (path, why) in [
        (0, "unit-demo.service content-address-mismatch"),
        (1, "source content-address-mismatch"),
        (2, "manual content-address-mismatch"),
        (3, "demo-1.0.tar.gz content-address-mismatch"),
    ] {
        let (_workshop, mut forge, generation) = good();
        let Generation { unit, source, manual, archive, text, .. } = &generation;
        let path = [unit, source, manual, archive][path];
        forge.add_reference(path, text).unwrap();
        assert_denied(&by_bytes(&forge, &generation.toplevel), &[why]);
        forge.remove_reference(path, text).unwrap();
        assert_admitted(&by_bytes(&forge, &generation.toplevel));
        // To itself, where it does not, or no longer, where it does.
        if path == manual {
            forge.remove_reference(path, path).unwrap();
        } else {
            forge.add_reference(path, path).unwrap();
        }
        assert_denied(&by_bytes(&forge, &generation.toplevel), &[why]);
    }
}
