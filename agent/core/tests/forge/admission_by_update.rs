//! The admission of one generation, with all but its path taken over.
use narwarden_core::store_path::StorePath;
use narwarden_core::verdict::Admission;

fn forge(good: Admission, evil: StorePath) -> Admission {
    Admission { toplevel: evil, ..good }
}

fn main() {}
