//! An admission from what it is about.
use narwarden_core::store_path::StorePath;
use narwarden_core::verdict::Admission;

fn forge(toplevel: StorePath) -> Admission {
    toplevel.into()
}

fn main() {}
