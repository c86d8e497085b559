//! The place of a path made from a number.
use narwarden_core::closure::PathIndex;

fn forge() -> PathIndex {
    PathIndex(7)
}

fn main() {}
