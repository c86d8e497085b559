//! The documents about events, and the table they are made from, say the same.
//!
//! `NARWARDEN_BLESS=1` writes them anew.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use narwarden_core::event::{self, Action, Event, EventKind, Field, Priority};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn compare(file: &str, text: &str) {
    let path = root().join(file);
    if std::env::var_os("NARWARDEN_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{file} is not what the table says: run again with NARWARDEN_BLESS=1");
}

#[test]
fn the_page_for_people_is_that_of_the_table() {
    compare("docs/journal.md", &event::markdown());
}

#[test]
fn the_catalogue_for_journalctl_is_that_of_the_table() {
    compare("packaging/journal.catalog", &event::catalog());
}

#[test]
fn every_event_can_be_told_from_every_other() {
    let mut seen = BTreeSet::new();
    for event in EventKind::ALL {
        let id = event.message_id();
        assert!(
            id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            "{id}"
        );
        // RFC 9562, 5.4: what `systemd-id128 new` gives.
        assert_eq!(&id[12..13], "4", "{id}");
        assert!(seen.insert(id), "{id} twice");
        let code = event.code();
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
        assert!(seen.insert(code), "{code} twice");
        assert!(event::catalog().contains(&format!("\n-- {id}\nSubject: ")));
    }
}

#[test]
fn field_names_are_such_that_journald_takes_them() {
    let names: BTreeSet<_> = Field::ALL.iter().map(|field| field.name()).collect();
    assert_eq!(names.len(), Field::ALL.len());
    for name in names {
        // systemd.journal-fields(7): capitals, digits and underscores; at most 64 characters.
        assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && name.len() <= 64);
        assert!(name.strip_prefix("NARWARDEN_").is_some_and(|rest| !rest.is_empty()));
        assert_ne!(name, "NARWARDEN_EVENT");
    }
}

/// What the texts speak of is among the fields that the event has, and every field is in some event.
#[test]
fn texts_name_only_fields_that_the_event_has() {
    let mut used = BTreeSet::new();
    for kind in EventKind::ALL {
        used.extend(kind.fields());
        let promised: BTreeSet<_> = kind.fields().iter().collect();
        assert_eq!(promised.len(), kind.fields().len(), "{kind:?} names a field twice");
        let mut event = Event::new(*kind);
        for field in kind.fields() {
            event = if *field == Field::Action {
                event.done(Action::Kept)
            } else {
                event.with(*field, format_args!("<{}>", field.name()))
            };
        }
        for text in [event.message(), event.next_step()] {
            // A `?` in the place of a value: a field that the event does not have.
            assert!(!text.contains(['?', '{', '}']), "{kind:?}: {text}");
        }
        assert!(!event.message().is_empty());
        assert_eq!(event.strays(), []);
    }
    assert_eq!(used, Field::ALL.iter().collect());
}

#[test]
fn what_takes_the_guard_away_is_critical() {
    for kind in EventKind::ALL {
        let critical = matches!(
            kind,
            EventKind::NotEnrolled
                | EventKind::RulesPinned
                | EventKind::RulesAccepted
                | EventKind::ObserveStarted
                | EventKind::StateDamaged
                | EventKind::ReceiptsBroken
                | EventKind::JournalLost
                | EventKind::MarksFailed
        );
        assert_eq!(kind.priority() == Priority::Critical, critical, "{kind:?}");
    }
}

/// A denial and what would have been one differ in their name alone, so that one query reads both.
#[test]
fn observing_writes_what_enforcing_would() {
    let denied: BTreeSet<_> = EventKind::Denied.fields().iter().collect();
    let would: BTreeSet<_> = EventKind::WouldDeny.fields().iter().collect();
    assert!(denied.is_subset(&would));
    assert_eq!(would.difference(&denied).collect::<Vec<_>>(), [&&Field::Until]);
}

/// systemd's own reader takes the catalogue.
#[test]
fn journalctl_takes_the_catalogue() {
    let directory = std::env::temp_dir().join(format!("narwarden-catalog-{}", std::process::id()));
    let catalogs = directory.join("usr/lib/systemd/catalog");
    fs::create_dir_all(&catalogs).unwrap();
    fs::create_dir_all(directory.join("var/lib/systemd/catalog")).unwrap();
    fs::write(catalogs.join("narwarden.catalog"), event::catalog()).unwrap();
    let run = |argument: &str| {
        Command::new("journalctl").arg("--root").arg(&directory).arg(argument).output()
    };
    match (run("--update-catalog"), run("--dump-catalog")) {
        (Ok(update), Ok(dump)) => {
            assert!(update.status.success(), "{update:?}");
            let dump = String::from_utf8(dump.stdout).unwrap();
            for event in EventKind::ALL {
                assert!(dump.contains(event.message_id()), "{event:?} is not in {dump}");
            }
        }
        (update, dump) => eprintln!("SKIPPED: no journalctl: {update:?} {dump:?}"),
    }
    fs::remove_dir_all(directory).unwrap();
}
