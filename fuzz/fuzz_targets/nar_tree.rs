//! Events in any order: what the writer takes is one tree, and its NAR, read by the grammar in the manual and
//! nothing else, gives the same events again.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use narwarden_core::git_object::GitHasher;
use narwarden_core::hash::Algorithm;
use narwarden_core::nar::NarWriter;
use narwarden_core::sink::{Executable, TreeSink};

#[derive(Arbitrary, Clone, Debug, PartialEq, Eq)]
enum Event {
    BeginDirectory,
    BeginEntry(Vec<u8>),
    EndEntry,
    EndDirectory,
    BeginFile(bool, u64),
    Contents(Vec<u8>),
    EndFile,
    Symlink(Vec<u8>),
    /// A whole file, which random sizes and contents would seldom make.
    File(bool, Vec<u8>),
}

fn feed<S: TreeSink>(sink: &mut S, event: &Event) -> Result<(), S::Error> {
    let executable = |yes: bool| if yes { Executable::Yes } else { Executable::No };
    match event {
        Event::BeginDirectory => sink.begin_directory(),
        Event::BeginEntry(name) => sink.begin_entry(name),
        Event::EndEntry => sink.end_entry(),
        Event::EndDirectory => sink.end_directory(),
        Event::BeginFile(yes, size) => sink.begin_file(executable(*yes), *size),
        Event::Contents(bytes) => sink.contents(bytes),
        Event::EndFile => sink.end_file(),
        Event::Symlink(target) => sink.symlink(target),
        Event::File(yes, bytes) => {
            sink.begin_file(executable(*yes), bytes.len() as u64)?;
            sink.contents(bytes)?;
            sink.end_file()
        }
    }
}

/// The same tree in one way to say it: whole files.
fn joined(events: &[Event]) -> Vec<Event> {
    let mut joined = Vec::new();
    for event in events {
        match event {
            Event::BeginFile(yes, _) => joined.push(Event::File(*yes, Vec::new())),
            Event::Contents(bytes) => {
                if let Some(Event::File(_, contents)) = joined.last_mut() {
                    contents.extend(bytes);
                }
            }
            Event::EndFile => {}
            other => joined.push(other.clone()),
        }
    }
    joined
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn string(&mut self) -> &'a [u8] {
        let (length, rest) = self.0.split_at(8);
        let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
        let (string, rest) = rest.split_at(length);
        let (padding, rest) = rest.split_at(length.next_multiple_of(8) - length);
        assert!(padding.iter().all(|byte| *byte == 0));
        self.0 = rest;
        string
    }

    fn expect(&mut self, strings: &[&str]) {
        for string in strings {
            assert_eq!(self.string(), string.as_bytes());
        }
    }

    fn peek(&self) -> &'a [u8] {
        Reader(self.0).string()
    }

    /// Without recursion: trees may be deep.
    fn tree(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.expect(&["nix-archive-1"]);
        let mut depth = 0;
        loop {
            self.expect(&["(", "type"]);
            match self.string() {
                b"regular" => {
                    let executable = self.peek() == b"executable";
                    if executable {
                        self.expect(&["executable", ""]);
                    }
                    self.expect(&["contents"]);
                    events.push(Event::File(executable, self.string().to_vec()));
                    self.expect(&[")"]);
                }
                b"symlink" => {
                    self.expect(&["target"]);
                    events.push(Event::Symlink(self.string().to_vec()));
                    self.expect(&[")"]);
                }
                b"directory" => {
                    events.push(Event::BeginDirectory);
                    depth += 1;
                    if self.entry(&mut events) {
                        continue;
                    }
                    self.expect(&[")"]);
                    events.push(Event::EndDirectory);
                    depth -= 1;
                }
                other => panic!("{other:?}"),
            }
            // After an object: the entry that it was in ends, and another begins or the directory ends too.
            loop {
                if depth == 0 {
                    assert!(self.0.is_empty());
                    return events;
                }
                self.expect(&[")"]);
                events.push(Event::EndEntry);
                if self.entry(&mut events) {
                    break;
                }
                self.expect(&[")"]);
                events.push(Event::EndDirectory);
                depth -= 1;
            }
        }
    }

    fn entry(&mut self, events: &mut Vec<Event>) -> bool {
        let more = self.peek() == b"entry";
        if more {
            self.expect(&["entry", "(", "name"]);
            events.push(Event::BeginEntry(self.string().to_vec()));
            self.expect(&["node"]);
        }
        more
    }
}

fuzz_target!(|events: Vec<Event>| {
    let mut writer = NarWriter::new(Vec::new());
    let mut git = GitHasher::new(Algorithm::Sha256).unwrap();
    let mut taken = Vec::new();
    for event in &events {
        let written = feed(&mut writer, event);
        // Every sink asks the same grammar.
        assert_eq!(written.is_ok(), feed(&mut git, event).is_ok(), "{event:?}");
        if written.is_err() {
            // The first error is final.
            assert!(feed(&mut writer, event).is_err());
            assert!(writer.finish().is_err() && git.finish().is_err());
            return;
        }
        taken.push(event.clone());
    }
    if let Ok(nar) = writer.finish() {
        assert_eq!(Reader(&nar).tree(), joined(&taken));
        assert!(git.finish().is_ok());
    }
});
