//! What the socket does with those who do not keep to the protocol: floods, halves, huge and deep messages,
//! garbage, and clients that read nothing. After each, somebody else is served.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

#[path = "support/client.rs"]
mod client;
#[path = "support/fake.rs"]
mod fake;
#[path = "support/others.rs"]
mod others;

use client::{Client, is_served};
use fake::Fake;
use narwarden_core::interface::LONGEST_CALL;
use narwardend::ipc::{FOR_ONE_USER, FOR_ROOT, PATIENCE};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const STATUS: &[u8] = b"{\"method\":\"io.narwarden.Status\"}\0";

fn start() -> (TempDir, PathBuf, Arc<Fake>) {
    let directory = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let path = fake.serve(&directory.path().join("io.narwarden"));
    (directory, path, fake)
}

/// How many connections of ours are served.
fn places() -> usize {
    match std::fs::metadata("/proc/self").unwrap().uid() {
        0 => FOR_ROOT,
        _ => FOR_ONE_USER,
    }
}

#[test]
fn a_thousand_connections_take_no_more_than_their_places() {
    let (_directory, path, _) = start();
    let mut clients: Vec<_> = (0..1000).map(|_| Client::connect(&path)).collect();
    let served: Vec<_> = clients
        .iter_mut()
        .map(|client| client.method("Status", "{}"))
        .map(|reply| reply.is_some_and(|it| it["parameters"]["state"] == "ready"))
        .collect();
    assert_eq!(served.iter().filter(|it| **it).count(), places());
    assert!(served[..places()].iter().all(|it| *it), "who came first is served");
    // Those without a place are told so.
    let reply = Client::connect(&path).method("Status", "{}").expect("an answer");
    assert_eq!(reply["error"], "io.narwarden.Busy");
    // And the places are there again when they leave.
    drop(clients);
    let until = Instant::now() + Duration::from_secs(60);
    while !is_served(&path) {
        assert!(Instant::now() < until, "no place became free");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_flood_of_others_leaves_root_its_places() {
    let (_directory, path, _) = start();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    // Others hold as many connections as they get, for as long as they can.
    let flood = {
        let (path, stop) = (path.clone(), Arc::clone(&stop));
        thread::spawn(move || {
            let calls = vec![r#"{"method":"io.narwarden.Status"}"#.to_owned(); 100];
            let flood: Vec<_> = (0..20)
                .map(|_| {
                    let (path, calls) = (path.clone(), calls.clone());
                    thread::spawn(move || others::talk(&path, 65534, &calls).map(|it| it.len()))
                })
                .collect();
            let heard: Vec<_> = flood.into_iter().map(|it| it.join().unwrap()).collect();
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            heard
        })
    };
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        assert!(is_served(&path));
        thread::sleep(Duration::from_millis(5));
    }
    let heard = flood.join().unwrap();
    assert!(heard.iter().flatten().any(|it| *it == 100) || heard.iter().all(Option::is_none));
}

#[test]
fn a_call_may_be_as_long_as_it_may_be_and_no_longer() {
    let (_directory, path, _) = start();
    let call = |length: usize| {
        let frame = r#"{"method":"io.narwarden.Status","x":""}"#;
        let filling = "x".repeat(length - frame.len());
        format!(r#"{{"method":"io.narwarden.Status","x":"{filling}"}}"#)
    };
    assert_eq!(call(LONGEST_CALL).len(), LONGEST_CALL);
    for (length, served) in
        [(1000, true), (LONGEST_CALL, true), (LONGEST_CALL + 1, false), (10 << 20, false)]
    {
        let reply = Client::connect(&path).call(&call(length));
        assert_eq!(reply.is_some(), served, "{length} bytes: {reply:?}");
    }
    // Without an end, too.
    let mut client = Client::connect(&path);
    let written = (0..10_000).take_while(|_| client.send(&[b'x'; 65536]).is_ok()).count();
    assert!(written < 100, "{written} times 64 KiB were taken");
    assert_eq!(client.reply(), None);
    assert!(is_served(&path));
}

#[test]
fn what_is_no_call_ends_the_connection() {
    let (_directory, path, _) = start();
    let deep = |open: &str, depth: usize| {
        format!("{{\"method\":\"io.narwarden.Status\",\"parameters\":{}", open.repeat(depth))
    };
    let garbage: &[&[u8]] = &[
        b"\0",
        b"\0\0\0\0",
        b"x\0",
        b"{}\0",
        b"[]\0",
        b"null\0",
        b"[\"io.narwarden.Status\",null,null,null,null]\0",
        b"{\"method\":7}\0",
        b"{\"method\":null}\0",
        b"{\"method\":\"io.narwarden.Status\"\0",
        b"{\"method\":\"io.narwarden.Status\"} {}\0",
        b"{\"method\":\"io.narwarden.Status\",\"method\":\"io.narwarden.Reload\"}\0",
        b"{\"method\":\"io.narwarden.Status\",\"oneway\":\"yes\"}\0",
        b"{\"method\":\"io.narwarden.Status\",\"more\":1}\0",
        b"{\"method\":\"\xff\xfe\"}\0",
        b"{\"method\":\"\xed\xa0\x80\"}\0",
        b"{\"method\":\"\\ud800\"}\0",
        b"{\"method\":\"io.narwarden.Verdicts\",\"parameters\":{\"limit\":1e999}}\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\0",
        &[&deep("[", 10_000).into_bytes()[..], b"\0"].concat(),
        &[&deep("{\"a\":", 10_000).into_bytes()[..], b"\0"].concat(),
        &[&deep("[", 200).into_bytes()[..], "]".repeat(200).as_bytes(), b"}\0"].concat(),
    ];
    for bytes in garbage {
        let mut client = Client::connect(&path);
        // The server may have left before all of it was sent.
        let _ = client.send(bytes);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        assert_eq!(
            client.reply(),
            None,
            "{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
        );
    }
    assert!(is_served(&path));
}

/// Calls with single bytes changed: each is answered or ends the connection, and none stops the server.
#[test]
fn changed_calls_are_answered_or_refused() {
    let (_directory, path, _) = start();
    let call = b"{\"method\":\"io.narwarden.QuarantineShow\",\"parameters\":{\"name\":\"a\"}}";
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap()
    };
    let (mut answered, mut ended) = (0, 0);
    let mut client = Client::connect(&path);
    for _ in 0..3000 {
        let mut bytes = call.to_vec();
        for _ in 0..=random() % 3 {
            let place = random() % bytes.len();
            match random() % 3 {
                0 => bytes[place] = u8::try_from(random() % 256).unwrap(),
                1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, b"\"{}[]:,\\\0u0"[random() % 11]),
            }
        }
        bytes.retain(|byte| *byte != 0);
        bytes.push(0);
        let sent = client.send(&bytes).is_ok();
        if sent && client.reply().is_some() {
            answered += 1;
        } else {
            ended += 1;
            client = Client::connect(&path);
        }
    }
    assert!(answered > 300 && ended > 300, "{answered} answered, {ended} ended");
    assert!(is_served(&path));
}

/// Half a call, and a call that comes a byte at a time, hold a place for ten seconds and no longer; as do
/// clients that say nothing.
#[test]
fn slow_writers_lose_their_place() {
    let (_directory, path, _) = start();
    let begin = Instant::now();
    let mut silent = Client::connect(&path);
    let mut half = Client::connect(&path);
    half.send(&STATUS[..20]).unwrap();
    let mut after_one = Client::connect(&path);
    assert!(after_one.method("Status", "{}").is_some());
    let mut dripping = Client::connect(&path);
    let mut sent = 0;
    while dripping.send(b" ").is_ok() {
        sent += 1;
        assert!(begin.elapsed() < PATIENCE * 6, "still there after {sent} bytes");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(begin.elapsed() > PATIENCE - Duration::from_secs(1));
    for client in [&mut silent, &mut half, &mut after_one, &mut dripping] {
        assert_eq!(client.reply(), None);
    }
    assert!(is_served(&path));
}

/// A client that asks and asks, and never reads, is cut off, and nobody waits for it.
#[test]
fn slow_readers_stop_nobody() {
    let (_directory, path, _) = start();
    let mut deaf = Client::connect(&path);
    deaf.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let begin = Instant::now();
    let mut full = false;
    let mut cut = false;
    let mut served = 0;
    while begin.elapsed() < PATIENCE * 6 {
        match deaf.send(STATUS) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => full = true,
            Err(_) => {
                cut = true;
                break;
            }
        }
        if full {
            assert!(is_served(&path));
            served += 1;
        }
    }
    assert!(
        served > 2,
        "{served} others were served before it was cut off: somebody had to wait for the deaf one"
    );
    assert!(full, "the server read all of it without being read");
    assert!(cut, "and was never cut off");
}

/// Who waits for a report that does not come keeps nobody else waiting, and gives its place back by leaving.
#[test]
fn waiting_for_a_report_costs_one_place_and_only_while_it_lasts() {
    if places() != FOR_ROOT {
        return eprintln!("SKIPPED: only uid 0 may ask for a verification");
    }
    let (_directory, path, fake) = start();
    let mut waiting: Vec<_> = (0..FOR_ROOT - 1)
        .map(|_| {
            let mut client = Client::connect(&path);
            let call =
                "{\"method\":\"io.narwarden.Verify\",\"parameters\":{\"target\":\"hang\"}}\0";
            client.send(call.as_bytes()).unwrap();
            client
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(60);
    while fake.held.lock().unwrap().len() < FOR_ROOT - 1 {
        assert!(Instant::now() < until && is_served(&path));
        thread::sleep(Duration::from_millis(20));
    }
    let mut patient = waiting.pop().unwrap();
    drop(waiting);
    let free = || (0..FOR_ROOT - 1).map(|_| Client::connect(&path)).collect::<Vec<_>>();
    loop {
        let mut clients = free();
        if clients.iter_mut().all(|it| {
            it.method("Status", "{}").is_some_and(|it| it["parameters"]["state"] == "ready")
        }) {
            break;
        }
        assert!(Instant::now() < until, "the places of those who left are not free");
        drop(clients);
        thread::sleep(Duration::from_millis(100));
    }
    // Longer than a client may be silent: who waits for us is not slow.
    thread::sleep(PATIENCE + Duration::from_secs(1));
    for sender in fake.held.lock().unwrap().drain(..) {
        let _ = sender.send(Ok(serde_json::json!({ "verdict": "admit" })));
    }
    assert_eq!(patient.reply().unwrap()["parameters"]["report"]["verdict"], "admit");
}

#[test]
fn a_client_of_another_user() {
    others::client();
}
