use super::*;
use crate::signature::Signatures;

fn claim(name: &str) -> Claim {
    let path = StorePath::from_base_name(&format!("00000000000000000000000000000000-{name}"));
    Claim {
        path: path.unwrap(),
        nar_hash: None,
        nar_size: None,
        content_address: None,
        signatures: Signatures::default(),
        defects: Vec::new(),
    }
}

fn closure(names: &[&str], references: &[(u32, u32)]) -> Result<Closure, ClosureError> {
    let claims: Vec<_> = names.iter().map(|name| claim(name)).collect();
    let toplevel = claim(names.first().unwrap_or(&"absent")).path;
    let parts = ClosureParts { claims, references: references.to_vec(), dangling: Vec::new() };
    Closure::new(toplevel, parts)
}

fn names(paths: Vec<&StorePath>) -> Vec<&str> {
    paths.into_iter().map(StorePath::name).collect()
}

#[test]
fn the_chain_is_a_shortest_one() {
    // top → a → b → c, and top → c; c refers to itself and back to the top.
    let closure =
        closure(&["top", "a", "b", "c"], &[(0, 1), (1, 2), (2, 3), (0, 3), (3, 3), (3, 0)])
            .unwrap();
    let chains: Vec<_> =
        closure.claims().map(|(index, _)| names(closure.chain(index).paths)).collect();
    assert_eq!(chains, [vec!["top"], vec!["top", "a"], vec!["top", "a", "b"], vec!["top", "c"]]);
}

#[test]
fn long_chains_keep_both_ends() {
    let names: Vec<String> = (0..100).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let references: Vec<(u32, u32)> = (0..99).map(|n| (n, n + 1)).collect();
    let closure = closure(&names, &references).unwrap();
    for (position, (index, _)) in closure.claims().enumerate() {
        let Chain { paths, omitted } = closure.chain(index);
        let omitted = usize::try_from(omitted).unwrap();
        assert_eq!(paths.len() + omitted, position + 1);
        assert!(paths.len() <= Closure::CHAIN);
        assert_eq!(paths.first().map(|it| it.name()), Some("p0"));
        assert_eq!(paths.last().map(|it| it.name()), names.get(position).copied());
    }
}

#[test]
fn references_are_kept_by_path_and_once() {
    let closure = closure(&["top", "a", "b"], &[(0, 2), (0, 1), (0, 2), (2, 2)]).unwrap();
    let counts: Vec<_> = closure.claims().map(|(i, _)| closure.references(i).len()).collect();
    assert_eq!(counts, [2, 0, 1]);
}

#[test]
fn parts_that_are_no_closure_are_refused() {
    assert_eq!(
        closure(&["top", "a"], &[]).unwrap_err().to_string().split('-').nth(1),
        Some("a cannot be reached from the toplevel")
    );
    assert_eq!(closure(&["top"], &[(0, 1)]).unwrap_err(), ClosureError::OutOfRange);
    assert_eq!(closure(&["top"], &[(1, 0)]).unwrap_err(), ClosureError::OutOfRange);
    let parts = ClosureParts { claims: vec![claim("other")], ..ClosureParts::default() };
    assert_eq!(Closure::new(claim("top").path, parts).unwrap_err(), ClosureError::WrongToplevel);
}

#[test]
fn a_toplevel_without_a_row_has_an_empty_closure() {
    assert_eq!(closure(&[], &[]).unwrap().claims().len(), 0);
}
