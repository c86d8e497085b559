//! An admission by the ways that Rust makes values of many types.
use narwarden_core::verdict::Admission;

fn by_default() -> Admission {
    Admission::default()
}

fn by_copy(spent: &Admission) -> Admission {
    spent.clone()
}

fn by_constructor() -> Admission {
    Admission::new()
}

fn main() {}
