use super::*;
use crate::generations::scan;
use crate::places::Places;
use crate::state::receipts::Receipts;
use narwarden_core::event::Priority as Urgency;
use std::fs;
use std::sync::mpsc::sync_channel;

const NAME: &str = "00000000000000000000000000000000-nixos-system-demo-26.05";

fn toplevel() -> StorePath {
    StorePath::from_base_name(NAME).unwrap()
}

/// A journal that keeps what it is told, and can be full.
#[derive(Debug, Default)]
struct Kept {
    events: Mutex<Vec<Event>>,
    is_full: AtomicBool,
}

impl Announce for Kept {
    fn announce(&self, event: &Event) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::WouldBlock));
        }
        promised(event);
        self.events.lock().unwrap().push(event.clone());
        Ok(())
    }
}

/// Nothing but what the catalogue promises, and a message with nothing missing in it.
fn promised(event: &Event) {
    assert_eq!(event.strays(), [], "{event:?}");
    assert!(!event.message().contains('?'), "{}", event.message());
}

struct Office {
    _root: tempfile::TempDir,
    places: Places,
    kept: Arc<Kept>,
    clerk: Clerk,
}

impl Office {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        crate::state::prepare(&places).unwrap();
        let kept = Arc::new(Kept::default());
        let clerk = Clerk {
            announce: Arc::<Kept>::clone(&kept),
            ledger: Ledger::open(&places, Arc::<Kept>::clone(&kept)).0,
            admissions: Arc::new(Mutex::new(Admissions::load(&places).unwrap().0)),
            boot: BootId::current().unwrap(),
            asks: sync_channel(8).0,
            subscribers: Subscribers::default(),
        };
        Self { _root: root, places, kept, clerk }
    }

    fn last(&self) -> Event {
        self.kept.events.lock().unwrap().last().unwrap().clone()
    }

    fn receipts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.places.state.join("receipts.jsonl")).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn denied() -> Decided {
    let detail = format!("unsigned /nix/store/{NAME}: no signature");
    let reason = Reason::Interrupted;
    let standing = Standing::Denied { reason, detail, decided: Timestamp::now() };
    Decided { toplevel: toplevel(), rules: None, report: None, standing }
}

#[test]
fn a_verdict_names_its_receipt_before_that_is_written() {
    let mut office = Office::new();
    for number in 1..=3 {
        office.clerk.record(&denied()).unwrap();
        let event = office.last();
        assert_eq!((event.kind(), event.value(Field::Action)), (EventKind::Denied, None));
        let head = Receipts::check(&office.places).head;
        assert_eq!(event.value(Field::Receipt), head.as_deref());
        assert_eq!(office.receipts().len(), number);
    }
    // Lines cut off at the end, and the head with them: only the journal knows.
    let said = office.last().value(Field::Receipt).unwrap().to_owned();
    let whole = Receipts::check(&office.places);
    assert_eq!((whole.receipts, whole.head.as_deref()), (3, Some(said.as_str())));
    let Office { places, clerk, .. } = office;
    drop(clerk);
    let (path, lines) = (places.state.join("receipts.jsonl"), 2);
    let text = fs::read_to_string(&path).unwrap();
    let shorter: String = text.split_inclusive('\n').take(lines).collect();
    let head = narwarden_core::receipt::verify_chain(shorter.as_bytes()).unwrap().head;
    fs::write(&path, shorter).unwrap();
    crate::state::atomic::write(&places.state.join("receipts.head"), head.to_string().as_bytes())
        .unwrap();
    let cut = Receipts::check(&places);
    assert_eq!((cut.receipts, cut.broken), (2, None));
    assert_ne!(cut.head, Some(said));
}

#[test]
fn what_cannot_be_journalled_leaves_no_receipt() {
    let mut office = Office::new();
    office.kept.is_full.store(true, Ordering::Relaxed);
    assert!(office.clerk.record(&denied()).is_err());
    assert_eq!(office.receipts().len(), 0);
    // The control: with room in the journal, the same verdict is taken.
    office.kept.is_full.store(false, Ordering::Relaxed);
    office.clerk.record(&denied()).unwrap();
    assert_eq!(office.receipts().len(), 1);
}

#[test]
fn a_receipt_that_was_not_written_is_said_to_be_missing() {
    let mut office = Office::new();
    office.clerk.record(&denied()).unwrap();
    fs::remove_file(office.places.state.join("receipts.jsonl")).unwrap();
    assert!(office.clerk.record(&denied()).is_err());
    let events = office.kept.events.lock().unwrap().clone();
    let [.., verdict, broken] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((verdict.kind(), broken.kind()), (EventKind::Denied, EventKind::ReceiptsBroken));
    assert_eq!(verdict.value(Field::Receipt), broken.value(Field::Receipt));
    for error in [
        ReceiptError::Overtaken { expected: 2, found: 1 },
        ReceiptError::Line(narwarden_core::receipt::LineError::TooLong { found: 1 }),
    ] {
        let event = unwritten(&error, "aa");
        promised(&event);
        assert_eq!(event.kind(), EventKind::Trouble);
    }
}

#[test]
fn attempts_say_what_was_done_and_by_whom() {
    let who = Who { pid: 7, uid: Some(1000) };
    let why: Arc<str> = format!("unsigned /nix/store/{NAME}: no signature \u{1b}[2J").into();
    for (action, kind, done) in [
        (Action::Allowed, EventKind::Activated, Done::Allowed),
        (Action::Denied(Arc::clone(&why)), EventKind::Denied, Done::Refused),
        (Action::WouldDeny(Arc::clone(&why)), EventKind::WouldDeny, Done::Allowed),
        (Action::Denied("still verifying".into()), EventKind::Denied, Done::Refused),
    ] {
        let event = tried(Some(&toplevel()), &action, Some("/x/activate"), who);
        promised(&event);
        assert_eq!((event.kind(), event.value(Field::Action)), (kind, Some(done.word())));
        assert_eq!(event.value(Field::ProcessUid), Some("1000"));
        assert!(!event.message().chars().any(char::is_control));
    }
    let event = tried(Some(&toplevel()), &Action::Denied(why), None, who);
    assert_eq!(event.value(Field::Reason), Some("unsigned"));
    assert_eq!(event.value(Field::StorePath), Some(toplevel().to_string().as_str()));
    assert_eq!(Event::new(EventKind::Activated).priority(), Urgency::Notice);
    for (file, expected) in [
        (format!("/mnt/nix/store/{NAME}/bin/apply"), "bin/apply"),
        ("/tmp/link".to_owned(), "/tmp/link"),
        (format!("/{NAME}"), &format!("/{NAME}")),
    ] {
        let event = tried(Some(&toplevel()), &Action::Allowed, Some(&file), who);
        assert_eq!(event.value(Field::EntryPoint), Some(expected));
    }
    // What nobody knows is said to be unknown, and is no stray.
    let who = Who { pid: 7, uid: None };
    let event = tried(None, &Action::Denied("x".into()), None, who);
    assert_eq!((event.strays(), event.value(Field::ProcessUid)), (vec![], Some("?")));
}

#[test]
fn only_what_is_a_reason_and_a_path_is_taken_for_one() {
    let path = toplevel().to_string();
    assert!(cause(&format!("unsigned {path}: x")).is_some());
    for odd in [
        "",
        "unsigned",
        "unsigned : ",
        "unsigned /etc/passwd: x",
        "Unsigned",
        &format!("unheard {path}: x"),
        &format!("unsigned {path}"),
    ] {
        assert_eq!(cause(odd), None, "{odd}");
    }
}

#[test]
fn notices_carry_what_they_promise() {
    let root = tempfile::tempdir().unwrap();
    let places = Places::below(root.path());
    fs::create_dir_all(&places.profiles).unwrap();
    let link = places.profiles.join("system-1-link");
    std::os::unix::fs::symlink(toplevel().to_string(), &link).unwrap();
    let scanned = scan(&places);
    let [link] = scanned.links.as_slice() else { panic!("{scanned:?}") };
    let record = Record {
        id: crate::quarantine::Id::parse("system-1-20261122T120000Z").unwrap(),
        was: link.mark(),
        toplevel: Some(toplevel().to_string()),
        reason: format!("unsigned /nix/store/{NAME}: no signature"),
        rejected: Timestamp::now(),
        state: crate::quarantine::State::Held,
    };
    for (notice, kind) in [
        (
            Notice::MarksFailed { path: &toplevel(), error: "ENOSPC".to_owned() },
            EventKind::MarksFailed,
        ),
        (Notice::Quarantined { record: &record }, EventKind::Quarantined),
        (Notice::Failed { what: "system: locked".to_owned() }, EventKind::Trouble),
    ] {
        let event = notice.event();
        promised(&event);
        assert_eq!(event.kind(), kind);
        let reason = (kind == EventKind::Quarantined).then_some("unsigned");
        assert_eq!(event.value(Field::Reason), reason);
    }
}
