//! A judgement by the ways that Rust makes values of many types.
use narwarden_core::closure::PathIndex;
use narwarden_core::verify::Judgement;

fn by_default() -> Judgement {
    Judgement::default()
}

fn by_constructor() -> Judgement {
    Judgement::new(PathIndex::TOPLEVEL)
}

fn main() {}
