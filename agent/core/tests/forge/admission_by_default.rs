//! An admission of nothing.
use narwarden_core::verdict::Admission;

fn forge() -> Admission {
    Admission::default()
}

fn main() {}
