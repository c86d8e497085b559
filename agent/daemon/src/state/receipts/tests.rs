use super::*;
use crate::state::Kept;
use std::fs;
use std::io::Read as _;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

const NOW: Timestamp = Timestamp::constant(1_790_856_000, 0);

fn append(receipts: &mut Receipts, receipt: &impl Serialize) -> Result<Head, ReceiptError> {
    let next = receipts.next(NOW, receipt)?;
    let head = next.head().clone();
    assert_eq!(receipts.append(next)?, &head, "what was said of it before it was written");
    Ok(head)
}

struct Desk {
    _root: tempfile::TempDir,
    places: Places,
    paths: Paths,
}

impl Desk {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        crate::state::prepare(&places).unwrap();
        Self { paths: Paths::of(&places), places, _root: root }
    }

    /// With this many receipts in files of this size.
    fn with(count: u64, largest: u64) -> Self {
        let desk = Self::new();
        let (mut receipts, damages) = Receipts::open_with(&desk.places, largest).unwrap();
        assert_eq!(damages, []);
        for number in 1..=count {
            let head = append(&mut receipts, &format!("receipt {number}")).unwrap();
            assert_eq!(head.sequence, number);
        }
        desk
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.paths.current).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    /// What the chain's check says of these lines.
    fn broken(&self, lines: &[String]) -> Break {
        verify_chain(lines.concat().as_bytes()).unwrap_err()
    }

    /// Opens what there is and appends to it; afterwards everything must be whole.
    fn reopened(&self) -> Vec<Damage> {
        let (mut receipts, damages) = Receipts::open(&self.places).unwrap();
        let before = receipts.head().sequence;
        append(&mut receipts, &"after").unwrap();
        let checked = Receipts::verify(&self.places).unwrap();
        assert_eq!(checked.head.sequence, before + 1);
        let (_, again) = Receipts::open(&self.places).unwrap();
        assert_eq!(again, [], "what was repaired is whole");
        damages
    }

    fn kept(&self) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(&self.paths.directory).unwrap().map(|it| it.unwrap().path());
        let kept = entries.filter(|it| it.to_string_lossy().contains(".damaged-"));
        kept.map(|path| fs::read(path).unwrap()).collect()
    }
}

#[test]
fn a_chain_holds() {
    let desk = Desk::with(10, LARGEST);
    let checked = Receipts::verify(&desk.places).unwrap();
    assert_eq!((checked.lines, checked.head.sequence, checked.before), (10, 10, Head::default()));
    assert_eq!(checked.length, fs::metadata(&desk.paths.current).unwrap().len());
    assert_eq!(Receipts::recent(&desk.places, 2)[1]["receipt"], "receipt 10");
    assert_eq!(Receipts::recent(&desk.places, 2).len(), 2);
    assert_eq!(Receipts::verify(&Desk::new().places).unwrap(), Checked::default());
    assert_eq!(desk.reopened(), []);
}

#[test]
fn lines_altered_removed_added_or_moved_break_it() {
    let desk = Desk::with(6, LARGEST);
    let lines = desk.lines();
    for middle in 1..5 {
        let mut altered = lines.clone();
        altered[middle] = altered[middle].replace("receipt ", "Receipt ");
        let found = desk.broken(&altered);
        assert_eq!(found.line, middle as u64 + 2, "the next one names another");
        assert!(matches!(found.fault, Fault::Previous { .. }), "{found}");

        let mut removed = lines.clone();
        removed.remove(middle);
        assert_eq!(desk.broken(&removed).line, middle as u64 + 1);

        let mut moved = lines.clone();
        moved.swap(middle - 1, middle);
        let found = desk.broken(&moved);
        assert!(found.line <= middle as u64 + 1, "{found}");

        let mut doubled = lines.clone();
        doubled.insert(middle, lines[middle].clone());
        assert_eq!(desk.broken(&doubled).line, middle as u64 + 2);
    }
    // A number that does not fit, with a digest that does.
    let jump = lines[1].replace("\"sequence\":2", "\"sequence\":3");
    let found = desk.broken(&[lines[0].clone(), jump]);
    assert_eq!(found.fault, Fault::Sequence { expected: 2, found: 3 });
    for line in ["", "{}", "null", "{\"sequence\":0}", "[1,2,3]", "\u{1b}[2J"] {
        let found = desk.broken(&[lines[0].clone(), format!("{line}\n")]);
        assert!(matches!(found.fault, Fault::Malformed(_)), "{found}");
        assert!(!found.to_string().contains('\u{1b}'));
    }
    let twice = lines[1].replace("\"time\"", "\"sequence\":2,\"time\"");
    assert!(matches!(desk.broken(&[lines[0].clone(), twice]).fault, Fault::Malformed(_)));
    // The control.
    verify_chain(lines.concat().as_bytes()).unwrap();
}

#[test]
fn every_byte_counts() {
    let desk = Desk::with(3, LARGEST);
    let whole = fs::read(&desk.paths.current).unwrap();
    for position in 0..whole.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut altered = whole.clone();
            altered[position] ^= flip;
            fs::write(&desk.paths.current, &altered).unwrap();
            assert!(Receipts::verify(&desk.places).is_err(), "byte {position} by {flip}");
        }
    }
    fs::write(&desk.paths.current, &whole).unwrap();
    Receipts::verify(&desk.places).unwrap();
}

#[test]
fn a_file_cut_anywhere_is_reported_and_kept() {
    let desk = Desk::with(3, LARGEST);
    let (whole, head) =
        (fs::read(&desk.paths.current).unwrap(), fs::read(&desk.paths.head).unwrap());
    for length in 0..whole.len() {
        let desk = Desk::new();
        fs::write(&desk.paths.current, &whole[..length]).unwrap();
        fs::write(&desk.paths.head, &head).unwrap();
        assert!(Receipts::verify(&desk.places).is_err(), "{length}");
        assert_ne!(desk.reopened(), [], "{length}");
        let kept: usize = desk.kept().iter().map(Vec::len).sum();
        assert_eq!(kept, length, "every byte of it is kept");
        let continued = Receipts::verify(&desk.places).unwrap();
        assert_eq!(continued.head.sequence, 4, "no number stands for two lines");
    }
}

#[test]
fn a_line_without_its_end_is_cut_off_and_kept() {
    // As a loss of power leaves it: the head still names the line before.
    let desk = Desk::with(3, LARGEST);
    let head = fs::read(&desk.paths.head).unwrap();
    let whole = fs::read(&desk.paths.current).unwrap();
    let (mut receipts, _) = Receipts::open(&desk.places).unwrap();
    append(&mut receipts, &"the fourth").unwrap();
    let longer = fs::read(&desk.paths.current).unwrap();
    for length in whole.len() + 1..longer.len() {
        let desk = Desk::new();
        fs::write(&desk.paths.current, &longer[..length]).unwrap();
        fs::write(&desk.paths.head, &head).unwrap();
        let (receipts, damages) = Receipts::open(&desk.places).unwrap();
        assert_eq!(receipts.head().sequence, 3);
        let [Damage { kept: Kept::Aside(aside), .. }] = damages.as_slice() else {
            panic!("{damages:?}")
        };
        assert_eq!(fs::read(aside).unwrap(), longer[whole.len()..length]);
        assert_eq!(fs::read(&desk.paths.current).unwrap(), whole);
        assert_eq!(desk.reopened(), []);
    }
    // Zeros, as some file systems leave.
    let desk = Desk::new();
    fs::write(&desk.paths.current, [&whole[..], &[0; 300]].concat()).unwrap();
    fs::write(&desk.paths.head, &head).unwrap();
    assert_eq!(desk.reopened().len(), 1);
    // The whole line, and no power left to write the head.
    let desk = Desk::new();
    fs::write(&desk.paths.current, &longer).unwrap();
    fs::write(&desk.paths.head, &head).unwrap();
    let (receipts, damages) = Receipts::open(&desk.places).unwrap();
    assert_eq!((receipts.head().sequence, damages), (4, Vec::new()));
}

#[test]
fn a_damaged_head_is_reported() {
    let desk = Desk::with(3, LARGEST);
    let whole = fs::read(&desk.paths.head).unwrap();
    let mut versions: Vec<_> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
    versions.extend((0..whole.len()).map(|position| {
        let mut altered = whole.clone();
        altered[position] ^= 1;
        altered
    }));
    for version in versions {
        let desk = Desk::with(3, LARGEST);
        fs::write(&desk.paths.head, &version).unwrap();
        let damages = desk.reopened();
        assert_eq!(damages.len(), 1, "{damages:?}");
        assert_eq!(desk.kept(), [version]);
    }
    let desk = Desk::with(3, LARGEST);
    fs::remove_file(&desk.paths.head).unwrap();
    assert!(Receipts::verify(&desk.places).is_err());
    assert_eq!(desk.reopened().len(), 1);
    // Taken back to an older one: nothing is missing, but it is said.
    let desk = Desk::with(3, LARGEST);
    atomic::write(&desk.paths.head, Head::after(1, b"x").to_string().as_bytes()).unwrap();
    assert_eq!(desk.reopened().len(), 1);
}

#[test]
fn a_middle_that_is_damaged_is_kept_and_the_numbers_go_on() {
    let desk = Desk::with(6, LARGEST);
    let mut lines = desk.lines();
    lines.remove(3);
    fs::write(&desk.paths.current, lines.concat()).unwrap();
    let damages = desk.reopened();
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert_eq!(desk.kept(), [lines.concat().into_bytes()]);
    let continued = Receipts::verify(&desk.places).unwrap();
    assert_eq!((continued.before.sequence, continued.lines), (6, 1));
    // Another chain in its place, whole in itself.
    let desk = Desk::with(6, LARGEST);
    let other = Desk::new();
    let (mut receipts, _) = Receipts::open(&other.places).unwrap();
    for _ in 0..6 {
        append(&mut receipts, &"made up").unwrap();
    }
    fs::copy(&other.paths.current, &desk.paths.current).unwrap();
    assert!(Receipts::verify(&desk.places).is_err());
    assert_eq!(desk.reopened().len(), 1);
}

#[test]
fn files_are_rotated_and_the_chain_goes_on() {
    let desk = Desk::with(50, 1000);
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(size(&desk.paths.current) <= 1000 && size(&desk.paths.older) <= 1000);
    let checked = Receipts::verify(&desk.places).unwrap();
    assert_eq!(checked.head.sequence, 50);
    assert!(checked.lines < 50 && checked.before.sequence == 50 - checked.lines);
    let (older, current) = (fs::read(&desk.paths.older).unwrap(), desk.lines());

    // A line taken from the end of the older file, or from the beginning of the newer one.
    let shorter = older[..older.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(&desk.paths.older, &older[..shorter]).unwrap();
    assert!(Receipts::verify(&desk.places).is_err());
    assert_eq!(desk.reopened().len(), 2);

    let desk = Desk::with(50, 1000);
    fs::write(&desk.paths.current, current[1..].concat()).unwrap();
    assert!(Receipts::verify(&desk.places).is_err());
    assert_eq!(desk.reopened().len(), 2);

    // The older file is damaged, the newer one is not.
    let desk = Desk::with(50, 1000);
    let mut altered = older.clone();
    altered[40] ^= 1;
    fs::write(&desk.paths.older, &altered).unwrap();
    assert_eq!(desk.reopened().len(), 1);
    assert_eq!(desk.kept(), [altered]);

    // Power was lost right after the rotation.
    let desk = Desk::with(50, 1000);
    fs::rename(&desk.paths.current, &desk.paths.older).unwrap();
    assert_eq!(desk.reopened(), []);
}

#[test]
fn what_is_no_file_is_set_aside() {
    let desk = Desk::new();
    let good = desk.paths.directory.join("good");
    fs::write(&good, "not ours").unwrap();
    std::os::unix::fs::symlink(&good, &desk.paths.current).unwrap();
    fs::create_dir(&desk.paths.older).unwrap();
    assert_eq!(desk.reopened().len(), 2);
    assert_eq!(fs::read_to_string(good).unwrap(), "not ours");
}

#[test]
fn nobody_else_writes_there() {
    let desk = Desk::with(2, LARGEST);
    let (mut receipts, _) = Receipts::open(&desk.places).unwrap();
    let mut other = fs::OpenOptions::new().append(true).open(&desk.paths.current).unwrap();
    other.write_all(b"{}\n").unwrap();
    let error = append(&mut receipts, &"x").unwrap_err();
    assert!(matches!(error, ReceiptError::Changed { .. }), "{error}");
    // Moved away under its feet.
    let desk = Desk::with(2, LARGEST);
    let (mut receipts, _) = Receipts::open(&desk.places).unwrap();
    fs::rename(&desk.paths.current, desk.paths.directory.join("elsewhere")).unwrap();
    assert!(matches!(append(&mut receipts, &"x"), Err(ReceiptError::Changed { .. })));
}

#[test]
fn a_receipt_that_is_too_long_is_refused() {
    let desk = Desk::with(1, LARGEST);
    let (mut receipts, _) = Receipts::open(&desk.places).unwrap();
    let error = append(&mut receipts, &"x".repeat(MOST_LINE)).unwrap_err();
    assert!(matches!(error, ReceiptError::Line(LineError::TooLong { .. })), "{error}");
    append(&mut receipts, &"x".repeat(MOST_LINE - 300)).unwrap();
    Receipts::verify(&desk.places).unwrap();
    // Nor is one read: a line without end is not held in memory.
    let endless = BufReader::new(std::io::repeat(b'x').take(1 << 34));
    assert_eq!(verify_chain(endless).unwrap_err().fault, Fault::TooLong);
}

#[test]
fn a_line_counts_only_in_the_place_that_it_was_made_for() {
    let desk = Desk::with(2, LARGEST);
    let (mut receipts, _) = Receipts::open(&desk.places).unwrap();
    let (first, second) = (receipts.next(NOW, &"a").unwrap(), receipts.next(NOW, &"b").unwrap());
    assert_eq!(receipts.head().sequence, 2, "nothing is written yet");
    receipts.append(first).unwrap();
    let error = receipts.append(second).unwrap_err();
    assert!(matches!(error, ReceiptError::Overtaken { expected: 4, found: 3 }), "{error}");
    assert_eq!(Receipts::verify(&desk.places).unwrap().head, *receipts.head());
    let checked = Receipts::check(&desk.places);
    assert_eq!((checked.receipts, checked.broken), (3, None));
    assert_eq!(checked.head.as_deref(), Some(receipts.head().digest.as_str()));
}

#[test]
fn checking_while_receipts_are_written_finds_no_break() {
    let desk = Desk::with(2, 2000);
    let places = desk.places.clone();
    let (mut receipts, _) = Receipts::open_with(&desk.places, 2000).unwrap();
    let (end, checks) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let checker = scope.spawn(|| {
            while !end.load(Relaxed) {
                let broken = Receipts::check(&places).broken;
                assert!(broken.is_none(), "{broken:?}");
                checks.fetch_add(1, Relaxed);
            }
        });
        // At least 300, and on a busy host until the other has come to its turn.
        for done in 0.. {
            if checker.is_finished() || done >= 300 && checks.load(Relaxed) > 0 {
                break;
            }
            append(&mut receipts, &"more").unwrap();
            // Verdicts are further apart than this, and a reader must come to its turn between two.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        end.store(true, Relaxed);
        checker.join().unwrap();
    });
}
