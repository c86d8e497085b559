//! D17 to D20 and L02 in the daemon: what it hashes once, what it hashes again, and what a scrub finds.

use crate::host::{Host, live_on_ext4, wait_for};
use narwarden_core::store_path::StorePath;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

/// What a verification of the toplevel took: paths, how many of them by their seal, and bytes hashed.
fn effort(host: &Host, toplevel: &StorePath) -> (u64, u64, u64) {
    let report = verify(host, toplevel);
    let number = |place: &str| report.pointer(place).and_then(Value::as_u64).unwrap_or(u64::MAX);
    (number("/closure/paths"), number("/measured/sealed_paths"), number("/measured/hashed_bytes"))
}

fn verify(host: &Host, toplevel: &StorePath) -> Value {
    let parameters = format!("{{\"target\":\"{toplevel}\",\"force\":true}}");
    host.call("Verify", &parameters).unwrap()["parameters"]["report"].clone()
}

/// Waits until everything that the toplevel needs is old enough to be sealed, and is.
fn seal(host: &Host, toplevel: &StorePath) -> u64 {
    let mut paths = 0;
    wait_for("every path to be sealed", || {
        let (all, sealed, _) = effort(host, toplevel);
        paths = all;
        all == sealed
    });
    paths
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().unwrap().status.success()
}

#[test]
fn what_did_not_change_is_hashed_once_also_by_the_next_daemon() {
    live_on_ext4("seals::what_did_not_change_is_hashed_once_also_by_the_next_daemon", |host| {
        host.guard_and_settle();
        let good = host.system.good.clone();
        let paths = seal(host, &good);
        assert_eq!(effort(host, &good), (paths, paths, 0));
        host.kill();
        host.guard();
        assert_eq!(effort(host, &good), (paths, paths, 0));

        // Another file system on one of its files is no part of it, whatever it holds.
        let file = host.physical(&good).join("nixos-version");
        let (file, copy) = (file.to_str().unwrap().to_owned(), host.directory.join("copy"));
        fs::copy(&file, &copy).unwrap();
        assert!(run("mount", &["--bind", copy.to_str().unwrap(), &file]));
        let report = verify(host, &good);
        assert_eq!(report["verdict"], "deny");
        assert_eq!(report["measured"]["sealed_paths"], paths - 1);
        assert!(run("umount", &[&file]));
        assert_eq!(effort(host, &good), (paths, paths, 0));

        // A clock that is set takes the meaning from every time stamp.
        if !run("sh", &["-c", "date -s @$(date +%s.%N)"]) {
            eprintln!("SKIPPED, the clock cannot be set here: seals after it was");
            return;
        }
        let journal = host.journal.as_ref().unwrap();
        wait_for("the event", || journal.has(&["NARWARDEN_EVENT=clock-changed\n"]));
        seal(host, &good);
        host.kill();
        let book = host.root().join("var/lib/narwarden/seals");
        let (kept, token) =
            (fs::read(&book).unwrap(), host.root().join("run/narwarden/seals-token"));
        // As if the book could not have been removed: without its token, it is not believed.
        fs::remove_file(&token).unwrap();
        host.guard();
        let first = host.journal.as_ref().unwrap().entries();
        assert!(!first.is_empty() && fs::read(&book).unwrap() != kept);
    });
}

/// The only place in the image of the file system where the contents of a file of the toplevel are.
fn in_image(host: &Host, toplevel: &StorePath) -> (PathBuf, u64) {
    assert!(run("sync", &[]));
    let image = fs::read(host.directory.parent().unwrap().join("image")).unwrap();
    let files = fs::read_dir(host.physical(toplevel)).unwrap().map(|it| it.unwrap().path());
    for file in files.filter(|it| it.symlink_metadata().unwrap().is_file()) {
        let contents = fs::read(&file).unwrap();
        if contents.len() < 8 {
            continue;
        }
        // Files begin with a block.
        let places: Vec<_> = (0..image.len())
            .step_by(1024)
            .filter(|at| image[*at..].starts_with(&contents))
            .collect();
        if let [place] = places[..] {
            return (file, place as u64);
        }
    }
    panic!("no file of the toplevel is in one place of the image alone");
}

/// A disk that forgets a bit moves no time stamp.
#[test]
fn what_no_time_stamp_tells_of_is_found_by_a_scrub() {
    live_on_ext4("seals::what_no_time_stamp_tells_of_is_found_by_a_scrub", |host| {
        host.guard_and_settle();
        let good = host.system.good.clone();
        let paths = seal(host, &good);
        let journal = host.journal.as_ref().unwrap();

        // Control: with nothing altered, nothing is found.
        let finished =
            || journal.entries().iter().filter(|it| it.contains("=scrub-finished\n")).count();
        host.call("Scrub", "{}").unwrap();
        wait_for("the end of the first scrub", || finished() == 1);
        let last = host.status()["scrub"]["last"].clone();
        assert_eq!(last["drift"], 0, "{last}");
        assert!(last["paths"].as_u64().unwrap() >= paths);
        assert!(last["bytes"].as_u64().unwrap() > 0);
        assert!(!journal.has(&["NARWARDEN_EVENT=scrub-drift\n"]));
        assert_eq!(host.standing(&good).as_deref(), Some("admitted"));

        let (file, place) = in_image(host, &good);
        let image = host.directory.parent().unwrap().join("image");
        let image = fs::OpenOptions::new().read(true).write(true).open(image).unwrap();
        let mut byte = [0];
        image.read_exact_at(&mut byte, place).unwrap();
        image.write_all_at(&[byte[0] ^ 1], place).unwrap();
        let input = format!("if={}", file.display());
        assert!(run("dd", &[&input, "of=/dev/null", "iflag=nocache", "count=0"]));
        if fs::read(&file).unwrap()[0] == byte[0] {
            eprintln!("SKIPPED, the page cannot be taken from memory here: seals::*scrub");
            return;
        }
        // Control: a seal cannot know, and says what it said.
        assert_eq!(effort(host, &good), (paths, paths, 0));
        assert_eq!(host.standing(&good).as_deref(), Some("admitted"));

        host.call("Scrub", "{}").unwrap();
        let about = format!("NARWARDEN_STORE_PATH={good}\n");
        wait_for("the drift", || {
            journal.has(&[
                "NARWARDEN_EVENT=scrub-drift\n",
                "NARWARDEN_REASON=content-drift\n",
                &about,
            ])
        });
        wait_for("the verdict", || host.standing(&good).as_deref() != Some("admitted"));
        wait_for("the end of the second scrub", || finished() == 2);
        let drifts = || journal.entries().into_iter().filter(|it| it.contains("=scrub-drift\n"));
        assert_eq!(
            host.status()["scrub"]["last"]["drift"],
            1,
            "{:#?}",
            drifts().collect::<Vec<_>>()
        );
        let report = verify(host, &good);
        // What is sealed now is what was measured: other bytes than those that were signed.
        assert_eq!(report["verdict"], "deny", "its old seal is gone");
        let done = host.run("$T/bin/switch-to-configuration switch", &good);
        assert!(done.was_refused(), "{done:#?}");
    });
}
