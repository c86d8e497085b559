//! An admission read from a file.
use narwarden_core::verdict::Admission;

fn forge(text: &str) -> Admission {
    serde_json::from_str(text).unwrap()
}

fn main() {}
