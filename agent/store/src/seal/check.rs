//! Whether a seal still fits: the same names are asked for in the same order, and must come out as the same digest.

use super::bytes::Bytes;
use super::record::{Names, Record};
use super::tree::{Entries, TreeDigest};
use narwarden_linux::metadata::Metadata;
use narwarden_linux::tree::{Limits, Root, StoreDirectory, Survey};
use std::ffi::{CStr, CString};

/// Whether the tree is the one that was sealed, reached through `mount` alone.
///
/// That holds for the moment in which the check began: a node that has its old time of change later had it then.
pub(super) fn fits(store: &StoreDirectory, mount: u64, record: &Record<'_>) -> bool {
    let tree = match record.names {
        Names::Kept(entries) => by_names(store, mount, record.base_name, entries),
        Names::NotKept => by_listing(store, mount, record.base_name),
    };
    tree.is_some_and(|tree| tree.finish() == record.tree)
}

/// Without listing a directory: one that a name was added to, taken from or changed in has another time of change
/// itself.
fn by_names(
    store: &StoreDirectory,
    mount: u64,
    base_name: &str,
    entries: &[u8],
) -> Option<TreeDigest> {
    let name = CString::new(base_name).ok()?;
    let root = Root::open(store, &name).ok()?;
    let mut tree = TreeDigest::new();
    let mut bytes = Bytes(entries);
    // The path of the node, and the byte that ends it.
    let mut path = Vec::with_capacity(4096);
    let mut is_root = true;
    while !bytes.is_empty() {
        let before = bytes.0;
        let (shared, length) = (bytes.varint()?, bytes.varint()?);
        let suffix = bytes.take(length)?;
        let entry = before.get(..before.len().checked_sub(bytes.0.len())?)?;
        if shared > path.len() {
            return None;
        }
        path.truncate(shared);
        path.extend_from_slice(suffix);
        let metadata = if is_root {
            root.metadata()
        } else {
            path.push(0);
            let metadata = root.below(CStr::from_bytes_with_nul(&path).ok()?).ok()?;
            path.pop();
            metadata
        };
        if metadata.mount != mount {
            return None;
        }
        tree.add(entry, &metadata);
        is_root = false;
    }
    Some(tree)
}

fn by_listing(store: &StoreDirectory, mount: u64, base_name: &str) -> Option<TreeDigest> {
    let mut survey = Survey::new(store, base_name.as_bytes(), Limits::default());
    let (mut tree, mut entries, mut entry) = (TreeDigest::new(), Entries::default(), Vec::new());
    loop {
        let (place, metadata): (&[u8], Metadata) = match survey.next_node().ok()? {
            Some(node) => node,
            None => return Some(tree),
        };
        if metadata.mount != mount {
            return None;
        }
        entry.clear();
        entries.put(place, &mut entry);
        tree.add(&entry, &metadata);
    }
}
