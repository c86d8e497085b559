//! State that was torn, altered, swapped or taken away: found out, kept, and worth nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the workplace")]

mod workplace;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use narwarden_core::reason::Reason;
use narwardend::state::admissions::{Admissions, BootId, Key, MOST, Outcome, Summary};
use narwardend::state::atomic::{self, Stored};
use narwardend::state::{Damage, Kept, StateError};
use workplace::{NOW, Workplace, contents};

const LIMIT: u64 = 10_000;

type Make<'a> = Box<dyn Fn() + 'a>;

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn aside(damage: &Damage) -> PathBuf {
    match &damage.kept {
        Kept::Aside(path) => path.clone(),
        Kept::InPlace(why) => panic!("{damage}: {why}"),
    }
}

/// The damage must be found, what was there kept, and the name free.
fn is_damaged(path: &Path, bytes: &[u8], what: &str) {
    fs::write(path, bytes).unwrap();
    let Stored::Damaged(damage) = atomic::read(path, LIMIT).unwrap() else {
        panic!("{what}: not found out")
    };
    assert_eq!(fs::read(aside(&damage)).unwrap(), bytes, "{what}");
    assert_eq!(atomic::read(path, LIMIT).unwrap(), Stored::Absent, "{what}");
    fs::remove_file(aside(&damage)).unwrap();
}

#[test]
fn every_torn_or_altered_byte_is_found_out() {
    let place = Workplace::new();
    let path = place.places.state.join("table.json");
    for body in [&b""[..], b"[]\n", b"{\"toplevel\": \"/nix/store/x\"}\nmore\n", &[0, 255, 10]] {
        atomic::write(&path, body).unwrap();
        assert_eq!(atomic::read(&path, LIMIT).unwrap(), Stored::Whole(body.to_vec()));
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            is_damaged(&path, &whole[..length], &format!("cut to {length}"));
        }
        for position in 0..whole.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut altered = whole.clone();
                altered[position] ^= flip;
                is_damaged(&path, &altered, &format!("byte {position} by {flip}"));
            }
            let mut zeroed = whole.clone();
            zeroed[position..].fill(0);
            if zeroed != whole {
                is_damaged(&path, &zeroed, &format!("zeros from {position}"));
            }
        }
        for more in [&b"\n"[..], b"\0", &whole] {
            is_damaged(&path, &[&whole, more].concat(), "longer");
        }
    }
}

#[test]
fn a_file_under_another_name_is_another_file() {
    let place = Workplace::new();
    let (one, other) = (place.places.state.join("one"), place.places.state.join("other"));
    atomic::write(&one, b"body").unwrap();
    let bytes = fs::read(&one).unwrap();
    is_damaged(&other, &bytes, "swapped");
    assert_eq!(atomic::read(&one, LIMIT).unwrap(), Stored::Whole(b"body".to_vec()));
}

#[test]
fn what_is_no_file_of_ones_own_is_moved_aside() {
    let place = Workplace::new();
    let path = place.places.state.join("it");
    let good = place.places.state.join("good").join("it");
    fs::create_dir(good.parent().unwrap()).unwrap();
    atomic::write(&good, b"body").unwrap();
    let mode = |mode| {
        fs::copy(&good, &path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    };
    let mut table: Vec<(&str, Make<'_>)> = vec![
        ("symbolic link", Box::new(|| symlink(&good, &path).unwrap())),
        ("symbolic link", Box::new(|| symlink("nowhere", &path).unwrap())),
        ("no regular file", Box::new(|| fs::create_dir(&path).unwrap())),
        ("no regular file", Box::new(|| fifo(&path))),
        ("socket", Box::new(|| drop(std::os::unix::net::UnixListener::bind(&path).unwrap()))),
        ("others may write", Box::new(|| mode(0o666))),
        ("others may write", Box::new(|| mode(0o620))),
    ];
    if root() {
        table.push((
            "belongs to user 65534",
            Box::new(|| {
                mode(0o600);
                chown(&path, Some(65534), None).unwrap();
            }),
        ));
    }
    for (expected, make) in table {
        make();
        let Stored::Damaged(damage) = atomic::read(&path, LIMIT).unwrap() else {
            panic!("{expected}")
        };
        assert!(damage.found.contains(expected), "{damage}");
        aside(&damage).symlink_metadata().unwrap();
        assert_eq!(atomic::read(&path, LIMIT).unwrap(), Stored::Absent);
    }
    // The control: the same file with the modes it is written with.
    mode(0o600);
    assert_eq!(atomic::read(&path, LIMIT).unwrap(), Stored::Whole(b"body".to_vec()));
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn nothing_is_read_without_bound() {
    let place = Workplace::new();
    let path = place.places.state.join("it");
    atomic::write(&path, &vec![b'x'; 20_000]).unwrap();
    let Stored::Damaged(damage) = atomic::read(&path, LIMIT).unwrap() else { panic!() };
    assert!(damage.found.contains("more than 10000 bytes"), "{damage}");
    // A file without end, of no size.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let Stored::Damaged(_) = atomic::read(&path, LIMIT).unwrap() else { panic!() };
}

#[test]
fn a_hundredth_damaged_version_stays_where_it_is() {
    let place = Workplace::new();
    let path = place.places.state.join("it");
    for count in 0..99 {
        fs::write(&path, format!("{count}")).unwrap();
        let Stored::Damaged(damage) = atomic::read(&path, LIMIT).unwrap() else { panic!() };
        assert_eq!(fs::read_to_string(aside(&damage)).unwrap(), format!("{count}"));
    }
    fs::write(&path, "one more").unwrap();
    for _ in 0..2 {
        let Stored::Damaged(damage) = atomic::read(&path, LIMIT).unwrap() else { panic!() };
        assert!(matches!(&damage.kept, Kept::InPlace(why) if why.contains("99")), "{damage}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one more");
    }
}

#[test]
fn a_write_that_was_interrupted_leaves_the_old_file() {
    let place = Workplace::new();
    let path = place.places.state.join("it");
    let elsewhere = place.root.path().join("elsewhere");
    fs::write(&elsewhere, "not ours").unwrap();
    atomic::write(&path, b"old").unwrap();
    let new = place.places.state.join(".it.new");
    // Whatever is left under the temporary name is neither followed nor in the way.
    for leave in [
        Box::new(|| fs::write(&new, "half").unwrap()) as Make<'_>,
        Box::new(|| symlink(&elsewhere, &new).unwrap()),
        Box::new(|| fifo(&new)),
    ] {
        leave();
        assert_eq!(atomic::read(&path, LIMIT).unwrap(), Stored::Whole(b"old".to_vec()));
        atomic::write(&path, b"old").unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "not ours");
        assert!(new.symlink_metadata().is_err());
    }
    // Nothing can replace a directory: the old state of things stays, and nothing is left behind.
    let directory = place.places.state.join("directory");
    fs::create_dir(&directory).unwrap();
    let error = atomic::write(&directory, b"x").unwrap_err();
    assert!(matches!(error, StateError::Io { operation: "replace", .. }), "{error}");
    assert!(place.places.state.join(".directory.new").symlink_metadata().is_err());
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let inner = "mount -t tmpfs -o size=64k none \"$1\" && exec \"$0\" --exact inner --ignored";
    let directory = tempfile::tempdir().unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script]);
        command.arg(std::env::current_exe().unwrap()).arg(directory.path());
        command.env("NARWARDEN_TEST_DISK", directory.path()).output()
    };
    if !unshare("true").is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED, may not unshare: a full disk");
        return;
    }
    let output = unshare(inner).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[test]
#[ignore = "run by a_full_disk_leaves_the_old_file"]
fn inner() {
    let disk = PathBuf::from(std::env::var("NARWARDEN_TEST_DISK").unwrap());
    let places = narwardend::places::Places::below(&disk);
    narwardend::state::prepare(&places).unwrap();
    let path = places.state.join("it");
    atomic::write(&path, b"old").unwrap();
    let (mut receipts, _) = narwardend::state::receipts::Receipts::open(&places).unwrap();
    let next = receipts.next(NOW, &"first").unwrap();
    receipts.append(next).unwrap();
    let before = contents(&disk);

    let full = vec![b'x'; 60_000];
    fs::write(disk.join("ballast"), &full[..20_000]).unwrap();
    let error = atomic::write(&path, &full).unwrap_err();
    assert!(matches!(&error, StateError::Io { operation: "write", .. }), "{error}");
    let next = receipts.next(NOW, &String::from_utf8(full).unwrap()).unwrap();
    let error = receipts.append(next).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    fs::remove_file(disk.join("ballast")).unwrap();
    assert_eq!(contents(&disk), before);

    // And it goes on as if nothing had been.
    atomic::write(&path, b"new").unwrap();
    let next = receipts.next(NOW, &"second").unwrap();
    receipts.append(next).unwrap();
    let checked = narwardend::state::receipts::Receipts::verify(&places).unwrap();
    assert_eq!(checked.lines, 2);
}

fn boot() -> BootId {
    BootId::parse("0f0e0d0c-0b0a-0908-0706-050403020100\n").unwrap()
}

fn key(number: usize) -> Key {
    let digest = "0".repeat(64);
    Key {
        toplevel: format!("/nix/store/{number}"),
        trust: digest.clone(),
        policy: digest,
        boot: boot(),
    }
}

fn summary(number: usize, outcome: Outcome) -> Summary {
    Summary::new(key(number), NOW, outcome, vec![serde_json::json!({ "reason": "unsigned" })])
}

#[test]
fn verdicts_are_remembered() {
    let place = Workplace::new();
    let (mut admissions, damage) = Admissions::load(&place.places).unwrap();
    assert_eq!(damage, None);
    for number in 0..5 {
        admissions.record(summary(number, Outcome::Denied)).unwrap();
    }
    admissions.record(summary(1, Outcome::Admitted)).unwrap();
    let (admissions, damage) = Admissions::load(&place.places).unwrap();
    assert_eq!(damage, None);
    let latest: Vec<_> = admissions.latest().map(|it| it.key.toplevel.as_str()).collect();
    assert_eq!(
        latest,
        ["/nix/store/1", "/nix/store/4", "/nix/store/3", "/nix/store/2", "/nix/store/0"]
    );
    assert_eq!(admissions.get(&key(1)), Some(&summary(1, Outcome::Admitted)));
    assert_eq!(admissions.get(&key(9)), None);

    // Not as it was written, and not of this version: nothing is remembered, and the file is kept.
    let path = place.places.state.join("admissions.json");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (admissions, damage) = Admissions::load(&place.places).unwrap();
        assert_eq!(admissions.latest().count(), 0, "{length}");
        fs::remove_file(aside(&damage.unwrap())).unwrap();
    }
    for body in ["", "{}", "[{}]", "[1]", "[[[[["] {
        atomic::write(&path, body.as_bytes()).unwrap();
        let (admissions, damage) = Admissions::load(&place.places).unwrap();
        assert_eq!(admissions.latest().count(), 0);
        assert!(damage.is_some(), "{body}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let place = Workplace::new();
    let path = place.places.state.join("admissions.json");
    let many: Vec<_> = (0..MOST + 10).map(|number| summary(number, Outcome::Denied)).collect();
    atomic::write(&path, &serde_json::to_vec(&many).unwrap()).unwrap();
    let (admissions, _) = Admissions::load(&place.places).unwrap();
    assert_eq!(admissions.latest().count(), MOST);
    assert!(admissions.get(&key(9)).is_none() && admissions.get(&key(10)).is_some());

    // By size too: findings as long as an attacker likes.
    let finding = serde_json::json!({ "detail": "x".repeat(1000) });
    let long =
        |number| Summary::new(key(number), NOW, Outcome::Denied, vec![finding.clone(); 1000]);
    assert_eq!((long(0).found, long(0).findings.len()), (1000, 8));
    let many: Vec<_> = (0..600).map(long).collect();
    atomic::write(&path, &serde_json::to_vec(&many).unwrap()).unwrap();
    let (mut admissions, _) = Admissions::load(&place.places).unwrap();
    admissions.record(long(601)).unwrap();
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < (4 << 20) + 1000, "{size}");
    assert!(admissions.latest().count() > 400);
    assert_eq!(admissions.latest().next(), Some(&long(601)));
}

#[test]
fn what_was_admitted_once_is_known_for_long() {
    let place = Workplace::new();
    let (mut admissions, _) = Admissions::load(&place.places).unwrap();
    admissions.record(summary(1, Outcome::Admitted)).unwrap();
    let by = admissions.last("/nix/store/1").unwrap().admitted_by();
    assert!(by.is_some());
    // By the same rules in the same boot the denial takes its place.
    admissions.record(summary(1, Outcome::Denied)).unwrap();
    admissions.record(summary(1, Outcome::Denied)).unwrap();
    admissions.record(summary(2, Outcome::Denied)).unwrap();
    for admissions in [&admissions, &Admissions::load(&place.places).unwrap().0] {
        let last = admissions.last("/nix/store/1").unwrap();
        assert_eq!((last.outcome, last.admitted_by()), (Outcome::Denied, by.clone()));
        assert_eq!(admissions.last("/nix/store/2").unwrap().admitted_by(), None, "control");
        assert!(admissions.last("/nix/store/3").is_none());
    }
    // Whoever has many others refused does not make it forgotten.
    let path = place.places.state.join("admissions.json");
    let mut many: Vec<_> = admissions.latest().cloned().collect();
    many.reverse();
    many.extend((3..MOST + 10).map(|number| summary(number, Outcome::Denied)));
    atomic::write(&path, &serde_json::to_vec(&many).unwrap()).unwrap();
    let (admissions, _) = Admissions::load(&place.places).unwrap();
    assert_eq!(admissions.latest().count(), MOST);
    assert_eq!(admissions.last("/nix/store/1").unwrap().admitted_by(), by);
    assert!(admissions.last("/nix/store/2").is_none(), "control");
    let latest = format!("/nix/store/{}", MOST + 9);
    assert_eq!(admissions.latest().next().map(|it| it.key.toplevel.clone()), Some(latest));
}

#[test]
fn the_reasons_of_a_denial_are_read_back() {
    let finding = |severity: &str, reason: &str| serde_json::json!({ "severity": severity, "reason": reason });
    let findings = vec![
        finding("deny", "expired-key"),
        finding("note", "content-drift"),
        finding("deny", "nothing-known"),
        serde_json::json!(7),
        finding("deny", "metadata-drift"),
    ];
    let summary = Summary::new(key(1), NOW, Outcome::Denied, findings);
    let reasons: Vec<_> = summary.reasons().collect();
    assert_eq!(reasons, [Reason::ExpiredKey, Reason::MetadataDrift]);
}

#[test]
fn boot_ids() {
    BootId::current().unwrap();
    for text in
        ["", "x", "0f0e0d0c-0b0a-0908-0706-05040302010g", "0f0e0d0c-0b0a-0908-0706-0504030201000"]
    {
        assert_eq!(BootId::parse(text), None, "{text}");
    }
}
