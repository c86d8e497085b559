//! A judgement of nothing.
use narwarden_core::verify::Judgement;

fn forge() -> Judgement {
    Judgement::default()
}

fn main() {}
