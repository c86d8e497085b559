//! Books that nobody wrote: none is believed, none stops anybody, and what is measured does not depend on them.

use super::{Bench, bench};
use crate::seal::book::{Book, COVERED, ENTRY, Entry, Found, HEADER, checksum_of};
use crate::seal::bytes::Bytes;
use crate::seal::record::{Names, Record};
use proptest::prelude::*;
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// Has the first `count` records of the book say another NAR hash, with every checksum made to fit.
pub(super) fn forge_evidence(bench: &Bench, count: usize) {
    let mut bytes = std::fs::read(&bench.book).unwrap();
    let offset = u64::from_le_bytes(bytes[COVERED - 12..COVERED - 4].try_into().unwrap());
    let offset = usize::try_from(offset).unwrap();
    for number in 0..count {
        let at = offset + number * ENTRY;
        let entry = &bytes[at..at + ENTRY];
        let start = usize::try_from(u64::from_le_bytes(entry[32..40].try_into().unwrap())).unwrap();
        let length =
            usize::try_from(u32::from_le_bytes(entry[40..44].try_into().unwrap())).unwrap();
        let record = Record::read(&bytes[start..start + length]).unwrap();
        let hash = record.evidence.nar_hash;
        let place = bytes[start..start + length].windows(32).position(|it| it == hash.as_bytes());
        bytes[start + place.unwrap()] ^= 1;
        let digest = *blake3::hash(&bytes[start..start + length]).as_bytes();
        bytes[at + ENTRY - 32..at + ENTRY].copy_from_slice(&digest);
    }
    let checksum = checksum_of(&bytes[..COVERED], &bytes[offset..]);
    bytes[COVERED..HEADER].copy_from_slice(&checksum);
    std::fs::write(&bench.book, bytes).unwrap();
}

/// Each byte of a book is covered: flipped, the book or the record it is in is not believed.
#[test]
fn no_flipped_byte_is_believed() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let whole = std::fs::read(&bench.book).unwrap();
    let binding = bench.open(crate::Belief::Fitting, super::later(10)).unwrap().binding;
    let open = || Book::open(&bench.book, binding.bytes(), &[0; 16]).unwrap();
    let Found::Book(good) = open() else { panic!("control: the book itself is believed") };
    let (mut nothing, mut damaged, mut records) = (0, 0, 0);
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&bench.book, &bytes).unwrap();
        let book = match open() {
            Found::Nothing => {
                nothing += 1;
                continue;
            }
            Found::Damaged(_) => {
                damaged += 1;
                continue;
            }
            Found::Book(book) => book,
        };
        assert_eq!(book.index(), good.index());
        let (mut buffer, mut refused) = (Vec::new(), 0);
        for entry in book.index() {
            let start = usize::try_from(entry.offset).unwrap();
            let end = start + usize::try_from(entry.length).unwrap();
            match book.record(entry, &mut buffer) {
                Some(record) => assert_eq!(record, &whole[start..end]),
                None => {
                    assert!((start..end).contains(&place));
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, 1, "byte {place} counts for nothing");
        records += 1;
    }
    // A version or binding that fits no checksum is damage too; nothing passes for the book of another boot.
    assert_eq!((nothing, damaged), (0, HEADER + good.index().len() * ENTRY));
    assert_eq!(damaged + records, whole.len());
}

/// The whole way: what is measured does not depend on what a book holds.
#[test]
fn a_damaged_book_costs_time_alone() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let whole = std::fs::read(&bench.book).unwrap();
    let good = bench.judge();
    for place in (0..whole.len()).step_by(151) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&bench.book, &bytes).unwrap();
        let came = bench.judge();
        assert_eq!(came.hashes, good.hashes, "byte {place}");
        assert!(came.sealed < came.paths && came.admitted, "byte {place}");
        assert_eq!(came.outcome.troubles.len(), 1, "{:?}", came.outcome.troubles);
        assert_eq!(bench.judge().sealed, came.paths, "a new one was written");
    }
}

#[test]
fn no_torn_book_is_believed() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let whole = std::fs::read(&bench.book).unwrap();
    let good = bench.judge();
    for length in (0..whole.len()).step_by(173).chain([HEADER, HEADER - 1, whole.len() - 1]) {
        std::fs::write(&bench.book, &whole[..length]).unwrap();
        let came = bench.judge();
        assert_eq!((came.sealed, &came.hashes), (0, &good.hashes), "{length} bytes");
        assert_eq!(came.outcome.troubles.len(), 1, "{length} bytes: {:?}", came.outcome.troubles);
        assert!(bench.book.with_file_name("seals.damaged").exists());
        assert_eq!(bench.judge().sealed, came.paths, "a new one was written");
    }
    std::fs::write(&bench.book, [whole, b"more".to_vec()].concat()).unwrap();
    assert_eq!(bench.judge().sealed, 0);
}

/// What lies in the place of a book, or of the next one, is neither followed nor waited for.
#[test]
fn what_is_no_book_is_moved_out_of_the_way() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let whole = std::fs::read(&bench.book).unwrap();
    type Place = fn(&Bench, &[u8]);
    let table: [(&str, Place); 4] = [
        ("it is no regular file", |bench, _| {
            mkfifoat(CWD, &bench.book, Mode::RUSR | Mode::WUSR).unwrap();
        }),
        ("it is a symbolic link", |bench, whole| {
            let real = bench.book.with_file_name("real");
            std::fs::write(&real, whole).unwrap();
            set_permissions(&real, Permissions::from_mode(0o600)).unwrap();
            symlink(&real, &bench.book).unwrap();
        }),
        ("others may write to it", |bench, whole| {
            std::fs::write(&bench.book, whole).unwrap();
            set_permissions(&bench.book, Permissions::from_mode(0o620)).unwrap();
        }),
        ("it has more than", |bench, whole| {
            std::fs::write(&bench.book, whole).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(&bench.book).unwrap();
            file.set_len(crate::seal::book::LARGEST + 1).unwrap();
        }),
    ];
    for (said, place) in table {
        std::fs::remove_file(&bench.book).unwrap();
        place(&bench, &whole);
        let came = bench.judge();
        assert_eq!(came.sealed, 0, "{said}");
        assert!(came.outcome.troubles[0].contains(said), "{said}: {:?}", came.outcome.troubles);
        assert_eq!(bench.judge().sealed, came.paths, "{said}: a new one was written");
    }
    // Control: the same bytes with the right mode are believed.
    std::fs::write(&bench.book, &whole).unwrap();
    assert!(bench.judge().sealed > 0);
}

#[test]
fn what_lies_in_the_place_of_the_next_book_is_not_waited_for() {
    let Some(bench) = bench() else { return };
    let next = bench.book.with_file_name(".seals.new");
    mkfifoat(CWD, &next, Mode::RUSR | Mode::WUSR).unwrap();
    let bench = bench.sealed();
    assert!(!next.exists());
    let all = bench.judge().paths;

    std::fs::remove_file(&bench.book).unwrap();
    std::fs::create_dir(&next).unwrap();
    let came = bench.judge();
    assert!(came.admitted);
    assert_eq!(came.outcome.sealed, 0);
    assert_eq!(came.outcome.troubles.len(), 1);
    std::fs::remove_dir(&next).unwrap();
    assert_eq!(bench.judge().outcome.sealed, all);
}

proptest! {
    /// Whatever the bytes are, reading them ends.
    #[test]
    fn a_record_of_any_bytes_is_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Record::read(&bytes);
    }

    #[test]
    fn a_book_of_any_bytes_is_read_or_not(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..800),
        head in any::<bool>(),
    ) {
        if head && bytes.len() > 16 {
            bytes[..16].copy_from_slice(super::super::book::MAGIC);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("book");
        std::fs::write(&path, &bytes).unwrap();
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let found = Book::open(&path, &[0; 72], &[0; 16]).unwrap();
        prop_assert!(!matches!(found, Found::Book(_)));
    }
}

#[test]
fn a_record_reads_back() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let bytes = std::fs::read(&bench.book).unwrap();
    let offset = u64::from_le_bytes(bytes[COVERED - 12..COVERED - 4].try_into().unwrap());
    let mut index = Bytes(&bytes[usize::try_from(offset).unwrap()..]);
    let mut count = 0;
    while let Some(entry) = Entry::read(&mut index) {
        let start = usize::try_from(entry.offset).unwrap();
        let record = &bytes[start..start + usize::try_from(entry.length).unwrap()];
        let read = Record::read(record).unwrap();
        assert!(matches!(read.names, Names::Kept(_)));
        let mut again = Vec::new();
        read.put(&mut again).unwrap();
        assert_eq!(again, record);
        count += 1;
    }
    assert_eq!(count, bench.judge().paths);
}
