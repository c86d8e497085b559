//! What a journald gets to see, and what the sender hears when there is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the receiver")]

mod receiver;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use narwarden_linux::journal::{Journal, Priority};
use proptest::prelude::*;
use receiver::Receiver;
use rustix::fs::{SealFlags, fcntl_get_seals};

const SHORT: Duration = Duration::from_millis(100);

/// Reads an entry as journald does: both forms of a field, nothing left over.
fn decode(mut entry: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::new();
    while !entry.is_empty() {
        let line = entry.iter().position(|byte| *byte == b'\n').expect("a line ends");
        let (head, rest) = (&entry[..line], &entry[line + 1..]);
        if let Some(equals) = head.iter().position(|byte| *byte == b'=') {
            let name = String::from_utf8(head[..equals].to_vec()).unwrap();
            fields.push((name, head[equals + 1..].to_vec()));
            entry = rest;
            continue;
        }
        let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
        let (value, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
        fields.push((String::from_utf8(head.to_vec()).unwrap(), value.to_vec()));
        entry = rest.strip_prefix(b"\n").expect("a newline after the value");
    }
    fields
}

fn journald() -> (tempfile::TempDir, Receiver, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let receiver = Receiver::at(&path);
    (directory, receiver, Journal::at(&path, SHORT).unwrap())
}

fn field(name: &str, value: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_ref().to_vec())
}

#[test]
fn every_priority_is_the_one_that_was_said() {
    let (_directory, journald, journal) = journald();
    for (number, priority) in (0_u8..).zip(Priority::ALL) {
        assert_eq!(Priority::from_number(number), Some(priority));
        journal.send(priority, "denied", &[("MESSAGE_ID", "00ff")]).unwrap();
        let received = journald.receive();
        assert_eq!(
            decode(&received.bytes),
            [
                field("PRIORITY", number.to_string()),
                field("MESSAGE", "denied"),
                field("MESSAGE_ID", "00ff"),
            ]
        );
        assert!(received.files.is_empty());
    }
    assert_eq!(Priority::from_number(8), None);
}

#[test]
fn a_value_cannot_pretend_to_be_another_field() {
    let (_directory, journald, journal) = journald();
    let hostile: &[u8] = b"x\nPRIORITY=7\nVERDICT\n\x05\0\0\0\0\0\0\0admit\n\xff\0";
    let fields: [(&str, &[u8]); 3] = [("A", hostile), ("B", b""), ("A", b"\n")];
    journal.send_bytes(Priority::Critical, hostile, &fields).unwrap();
    let expected = [
        field("PRIORITY", "2"),
        field("MESSAGE", hostile),
        field("A", hostile),
        field("B", ""),
        field("A", "\n"),
    ];
    assert_eq!(decode(&journald.receive().bytes), expected);
}

#[test]
fn names_that_journald_would_drop_are_not_sent() {
    let (_directory, journald, journal) = journald();
    for name in ["_UID", "lower", "", "A=B", "PRIORITY", "MESSAGE"] {
        let error = journal.send(Priority::Error, "m", &[(name, "v")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
    }
    assert!(journald.is_silent());
}

#[test]
fn what_no_datagram_holds_goes_into_a_sealed_file() {
    let (_directory, journald, journal) = journald();
    let large = "é\n".repeat(1 << 20);
    journal.send(Priority::Alert, "large", &[("REPORT", &large)]).unwrap();
    let mut received = journald.receive();
    assert!(received.bytes.is_empty());
    assert_eq!(received.files.len(), 1);

    let mut file = File::from(received.files.remove(0));
    let sealed = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    assert!(fcntl_get_seals(&file).unwrap().contains(sealed), "journald copies it otherwise");
    assert_eq!(file.write(b"x").unwrap_err().kind(), ErrorKind::PermissionDenied);
    file.set_len(1).unwrap_err();

    let mut entry = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut entry).unwrap();
    let expected =
        [field("PRIORITY", "1"), field("MESSAGE", "large"), field("REPORT", large.as_bytes())];
    assert_eq!(decode(&entry), expected);
    // A small one again goes the short way.
    journal.send(Priority::Alert, "small", &[]).unwrap();
    assert!(journald.receive().files.is_empty());
}

#[test]
fn more_than_any_entry_is_an_error() {
    let (_directory, journald, journal) = journald();
    let error = journal.send(Priority::Error, &"x".repeat(9 << 20), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let fields = vec![("A", "v"); 257];
    let error = journal.send(Priority::Error, "m", &fields).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(journald.is_silent());
}

#[test]
fn nobody_there_is_an_error_until_somebody_comes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let journal = Journal::at(&path, SHORT).unwrap();
    for _ in 0..2 {
        let error = journal.send(Priority::Error, "m", &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(journal.probe().unwrap_err().kind(), ErrorKind::NotFound);
    }
    let first = Receiver::at(&path);
    journal.probe().unwrap();
    assert!(first.receive().bytes.is_empty());
    journal.send(Priority::Error, "first", &[]).unwrap();
    drop(first);
    let error = journal.send(Priority::Error, "m", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    // Restarted, with a new socket by the old name.
    std::fs::remove_file(&path).unwrap();
    let second = Receiver::at(&path);
    journal.send(Priority::Error, "second", &[]).unwrap();
    assert_eq!(decode(&second.receive().bytes)[1], field("MESSAGE", "second"));
}

#[test]
fn a_journald_that_does_not_read_is_not_waited_for() {
    let (_directory, journald, journal) = journald();
    let start = Instant::now();
    let mut sent = 0_u32;
    let error = loop {
        match journal.send(Priority::Error, "m", &[("N", &sent.to_string())]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000_000, "the queue never fills");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(error.to_string().contains("does not read"), "{error}");
    assert!(start.elapsed() >= SHORT, "a burst must be ridden out");
    for large in ["m".to_owned(), "m".repeat(1 << 20)] {
        // Nobody reads: it would never come back if it waited for that.
        let error = journal.send(Priority::Error, &large, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    // What was accepted is all there, and there is room again.
    for number in 0..sent {
        assert_eq!(decode(&journald.receive().bytes)[2], field("N", number.to_string()));
    }
    assert!(journald.is_silent());
    journal.send(Priority::Error, "m", &[]).unwrap();
}

#[test]
fn a_journald_that_reads_late_gets_it() {
    let (directory, journald, _) = journald();
    let journal = Journal::at(&directory.path().join("socket"), Duration::from_secs(30)).unwrap();
    let reader = std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        (0..200).map(|_| decode(&journald.receive().bytes).len()).sum::<usize>()
    });
    for _ in 0..200 {
        journal.send(Priority::Error, "m", &[]).unwrap();
    }
    assert_eq!(reader.join().unwrap(), 400);
}

#[test]
fn an_abstract_socket_will_do() {
    let journald = Receiver::abstract_named("narwarden-journal");
    let journal = Journal::at(Path::new(&journald.name), SHORT).unwrap();
    journal.send(Priority::Notice, "m", &[]).unwrap();
    assert_eq!(decode(&journald.receive().bytes)[0], field("PRIORITY", "5"));
    for path in ["", "@", "relative/socket"] {
        Journal::at(Path::new(path), SHORT).unwrap_err();
    }
    Journal::at(Path::new(&format!("/{}", "x".repeat(200))), SHORT).unwrap_err();
}

#[test]
fn lines_of_libraries_have_their_level_and_are_never_waited_for() {
    let (_directory, journald, journal) = journald();
    log::set_max_level(log::LevelFilter::Info);
    let logger: &dyn log::Log = &journal;
    let record = |level, text: std::fmt::Arguments<'_>| {
        let record = log::Record::builder().level(level).target("lib::part").args(text).build();
        if logger.enabled(record.metadata()) {
            logger.log(&record);
        }
    };
    record(log::Level::Warn, format_args!("two\nlines"));
    record(log::Level::Debug, format_args!("not wanted"));
    let expected =
        [field("PRIORITY", "4"), field("MESSAGE", "two\nlines"), field("TARGET", "lib::part")];
    assert_eq!(decode(&journald.receive().bytes), expected);
    assert!(journald.is_silent());

    // Were each of those that nobody reads ridden out like an event, that would be minutes.
    let start = Instant::now();
    for _ in 0..2000 {
        record(log::Level::Error, format_args!("nobody reads"));
    }
    assert!(start.elapsed() < SHORT * 1000);
}

/// The receiver that tests compare with is not this crate's.
#[test]
fn the_decoder_of_these_tests_reads_both_forms() {
    let entry = b"A=1\nB\n\x03\0\0\0\0\0\0\0x\ny\nC=\n";
    assert_eq!(decode(entry), [field("A", "1"), field("B", "x\ny"), field("C", "")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sent_arrives(
        message in prop::collection::vec(any::<u8>(), 0..300),
        fields in prop::collection::vec(
            ("[A-Z][A-Z0-9_]{0,63}", prop::collection::vec(any::<u8>(), 0..100)),
            0..20,
        ),
    ) {
        let taken = |name: &str| !["MESSAGE", "PRIORITY"].contains(&name);
        prop_assume!(fields.iter().all(|(name, _)| taken(name)));
        let (_directory, journald, journal) = journald();
        let sent: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        journal.send_bytes(Priority::Debug, &message, &sent).unwrap();
        let mut expected = vec![field("PRIORITY", "7"), field("MESSAGE", &message)];
        expected.extend(fields.clone());
        prop_assert_eq!(decode(&journald.receive().bytes), expected);
    }
}
