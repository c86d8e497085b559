//! Which module may import which.
//!
//! `lib.rs` declares its modules in groups, parted by blank lines, in the order that a verdict is made in. A
//! module uses its own group and those before it, and no chain of uses leads back to where it began: rules
//! cannot come to depend on the verdict that they lead to. Tests may use everything.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Uses = BTreeMap<String, BTreeSet<String>>;

/// The group of each module of `lib.rs`.
fn groups(lib: &str) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::new();
    for (number, block) in lib.split("\n\n").enumerate() {
        let lines = block.lines().map(|line| line.strip_prefix("pub ").unwrap_or(line));
        let names = lines.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        groups.extend(names.map(|name| (name.to_owned(), number)));
    }
    groups
}

/// What the code of a file takes from the crate: every `crate::x`, and every `x` of `crate::{x, …}`. Links in
/// the documentation count as well.
fn taken(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let mut taken = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').collect(),
            None => vec![rest],
        };
        let names = list.into_iter().map(|item| {
            item.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap()
        });
        taken.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    taken
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else if name != "lib.rs" && name != "tests.rs" && !name.ends_with("_tests.rs") {
            sources.push(path);
        }
    }
    sources
}

fn uses(root: &Path, groups: &BTreeMap<String, usize>) -> Uses {
    let mut uses = Uses::new();
    for path in sources(root) {
        let first = path.strip_prefix(root).unwrap().iter().next().unwrap().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first).to_owned();
        assert!(groups.contains_key(&module), "{} is no module of lib.rs", path.display());
        let taken = taken(&fs::read_to_string(&path).unwrap());
        uses.entry(module.clone())
            .or_default()
            .extend(taken.into_iter().filter(|it| *it != module));
    }
    uses
}

/// A chain of uses from a module back to it.
fn circle(uses: &Uses) -> Option<Vec<String>> {
    fn from(uses: &Uses, chain: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        let last = chain.last().unwrap().clone();
        for next in uses.get(&last).into_iter().flatten() {
            if let Some(begin) = chain.iter().position(|it| it == next) {
                chain.drain(..begin);
                return true;
            }
            if !done.contains(next) {
                chain.push(next.clone());
                if from(uses, chain, done) {
                    return true;
                }
            }
        }
        done.insert(chain.pop().unwrap());
        false
    }
    let mut done = BTreeSet::new();
    uses.keys().find_map(|module| {
        let mut chain = vec![module.clone()];
        from(uses, &mut chain, &mut done).then_some(chain)
    })
}

#[test]
fn no_module_imports_from_one_further_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let groups = groups(&fs::read_to_string(root.join("lib.rs")).unwrap());
    assert!(groups.len() > 20, "{groups:?}");
    let uses = uses(&root, &groups);
    assert_eq!(uses.len(), groups.len(), "every module was read");
    for (module, taken) in &uses {
        for other in taken {
            let group = groups.get(other).unwrap_or_else(|| panic!("{module} uses crate::{other}"));
            assert!(group <= &groups[module], "{module} uses {other}, which comes after it");
        }
    }
    assert_eq!(circle(&uses), None);
}

#[test]
fn the_check_sees_what_it_looks_for() {
    let lib = "//! Doc.\n\npub mod a;\nmod b;\n\n// C.\npub mod c;\n";
    assert_eq!(groups(lib), [("a".into(), 1), ("b".into(), 1), ("c".into(), 2)].into());
    let text = "use crate::a::A;\nuse crate::{b, c::C};\nfn f(_: crate::d::D) {}\n\
                #[cfg(test)]\nmod tests {\n    use crate::e::E;\n}\n";
    assert_eq!(taken(text), ["a", "b", "c", "d"].map(str::to_owned).into());
    let uses = |pairs: &[(&str, &[&str])]| -> Uses {
        let set = |of: &[&str]| of.iter().map(|it| (*it).to_owned()).collect();
        pairs.iter().map(|(module, of)| ((*module).to_owned(), set(of))).collect()
    };
    assert_eq!(circle(&uses(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])), None);
    let round = uses(&[("a", &["b"]), ("b", &["c"]), ("c", &["d"]), ("d", &["b"])]);
    assert_eq!(circle(&round).unwrap(), ["b", "c", "d"]);
}
