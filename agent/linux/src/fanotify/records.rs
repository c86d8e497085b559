//! Reads what the kernel writes into the buffer of read(2) on a group: a chain of records, each with
//! the common part and further information. Pure: it yields numbers and owns nothing.
//!
//! Lengths come from the bytes and are believed only within them. A record that is not understood ends
//! the reading, since where the next one begins is then unknown. Information of an unknown kind is
//! skipped, as fanotify(7) asks for.
//!
//! ```
//! use narwarden_linux::fanotify::records::{Record, records};
//!
//! assert_eq!(records(&[]).count(), 0);
//! assert_eq!(records(&[0xff; 24]).collect::<Vec<_>>(), [Record::Garbled]);
//! ```

use std::os::fd::RawFd;

/// The version of the format, `FANOTIFY_METADATA_VERSION`.
const VERSION: u8 = libc::FANOTIFY_METADATA_VERSION;
/// Size of `struct fanotify_event_metadata`: length (4 bytes), version, a reserved byte, length of this
/// part (2), mask (8), file (4), process (4).
const METADATA: usize = 24;
/// Size of `struct fanotify_event_info_header`: kind, a padding byte, length (2 bytes).
const HEADER: usize = 4;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// An event.
    Event(RawEvent),
    /// Not a record of a version known here, or a length that cannot be. Nothing follows.
    Garbled,
}

/// An event as it stands in the buffer: numbers, nothing owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// What happened: bits `FAN_*`.
    pub mask: u64,
    /// The file, if the kernel opened it.
    pub file: Option<RawFd>,
    /// The process, 0 if it has no number in this PID namespace.
    pub pid: u32,
    /// A descriptor of the process, if the group asked for one and the process was still there.
    pub pidfd: Option<RawFd>,
}

/// The records in what was read from a group.
#[must_use]
pub fn records(bytes: &[u8]) -> Records<'_> {
    Records { rest: bytes }
}

/// Iterator over [`Record`]s.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((event, rest)) = split(self.rest) else {
            self.rest = &[];
            return Some(Record::Garbled);
        };
        self.rest = rest;
        Some(Record::Event(event))
    }
}

/// The first event, and what follows it. Every event is at least [`METADATA`] long, so this ends.
fn split(bytes: &[u8]) -> Option<(RawEvent, &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(field(bytes, 0)?)).ok()?;
    let [version] = field(bytes, 4)?;
    let metadata = usize::from(u16::from_ne_bytes(field(bytes, 6)?));
    if version != VERSION || metadata < METADATA || length < metadata {
        return None;
    }
    let (event, rest) = bytes.split_at_checked(length)?;
    let file = descriptor(field(event, 16)?);
    let pid = u32::try_from(i32::from_ne_bytes(field(event, 20)?)).unwrap_or(0);
    let pidfd = pidfd(event.get(metadata..)?).filter(|pidfd| file != Some(*pidfd));
    Some((RawEvent { mask: u64::from_ne_bytes(field(event, 8)?), file, pid, pidfd }, rest))
}

/// The process descriptor among the information after the common part. Information that cannot be
/// right is no reason to lose the event it belongs to: somebody waits for its answer.
fn pidfd(mut information: &[u8]) -> Option<RawFd> {
    loop {
        let [kind] = field(information, 0)?;
        let length = usize::from(u16::from_ne_bytes(field(information, 2)?));
        if length < HEADER {
            return None;
        }
        let (record, rest) = information.split_at_checked(length)?;
        if kind == libc::FAN_EVENT_INFO_TYPE_PIDFD {
            return descriptor(field(record, HEADER)?);
        }
        information = rest;
    }
}

/// Every negative number stands for none: `FAN_NOFD`, `FAN_EPIDFD`, a negated errno.
fn descriptor(bytes: [u8; 4]) -> Option<RawFd> {
    Some(RawFd::from_ne_bytes(bytes)).filter(|fd| *fd >= 0)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use libc::{fanotify_event_info_header, fanotify_event_metadata};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const PIDFD: u8 = libc::FAN_EVENT_INFO_TYPE_PIDFD;

    #[test]
    fn layout_is_the_kernels() {
        assert_eq!(size_of::<fanotify_event_metadata>(), METADATA);
        assert_eq!(size_of::<fanotify_event_info_header>(), HEADER);
        let offsets = [
            offset_of!(fanotify_event_metadata, event_len),
            offset_of!(fanotify_event_metadata, vers),
            offset_of!(fanotify_event_metadata, metadata_len),
            offset_of!(fanotify_event_metadata, mask),
            offset_of!(fanotify_event_metadata, fd),
            offset_of!(fanotify_event_metadata, pid),
        ];
        assert_eq!(offsets, [0, 4, 6, 8, 16, 20]);
        assert_eq!(offset_of!(fanotify_event_info_header, len), 2);
    }

    fn event(event: RawEvent, information: &[u8]) -> Vec<u8> {
        let length = u32::try_from(METADATA + information.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([VERSION, 0]);
        bytes.extend(24_u16.to_ne_bytes());
        bytes.extend(event.mask.to_ne_bytes());
        bytes.extend(event.file.unwrap_or(-1).to_ne_bytes());
        bytes.extend(event.pid.to_ne_bytes());
        bytes.extend(information);
        bytes
    }

    fn information(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0];
        bytes.extend(u16::try_from(HEADER + body.len()).unwrap().to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    const ONE: RawEvent = RawEvent { mask: 0x4_0000, file: Some(7), pid: 12, pidfd: None };

    fn read(bytes: &[u8]) -> Vec<Record> {
        records(bytes).collect()
    }

    #[test]
    fn information_of_all_sorts() {
        let pidfd = |fd: i32| information(PIDFD, &fd.to_ne_bytes());
        let mut lying = pidfd(9);
        lying[2] = 200;
        let mut endless = information(1, &[]);
        endless[2] = 0;
        let found = Some(9);
        // information, pidfd
        let table: [(Vec<u8>, Option<RawFd>); 13] = [
            (vec![], None),
            (pidfd(9), found),
            (pidfd(0), Some(0)),
            (pidfd(-1), None),
            (pidfd(-2), None),
            (pidfd(i32::MIN), None),
            ([information(200, &[1; 11]), pidfd(9)].concat(), found),
            ([information(200, &[]), pidfd(9), pidfd(10)].concat(), found),
            (information(PIDFD, &[9, 0, 0]), None),
            (lying, None),
            ([endless, pidfd(9)].concat(), None),
            (vec![PIDFD, 0, 8], None),
            // The number of the file: to own both would be to close one file twice.
            (pidfd(7), None),
        ];
        for (information, pidfd) in table {
            let expected = Record::Event(RawEvent { pidfd, ..ONE });
            let bytes = event(ONE, &information);
            assert_eq!(read(&bytes), [expected], "{information:?}");
            let twice = [bytes.clone(), bytes].concat();
            assert_eq!(read(&twice), [expected; 2], "{information:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_garbled_and_the_end() {
        let good = event(ONE, &[]);
        // offset, byte
        let table = [(0, 23), (0, 25), (0, 0), (3, 0x80), (4, 2), (4, 4), (6, 23), (6, 25), (7, 1)];
        for (offset, byte) in table {
            let mut bad = good.clone();
            bad[offset] = byte;
            assert_eq!(read(&bad), [Record::Garbled], "{offset} {byte}");
            let both = [good.clone(), bad, good.clone()].concat();
            if (offset, byte) != (0, 25) {
                assert_eq!(read(&both), [Record::Event(ONE), Record::Garbled], "{offset} {byte}");
            }
        }
        for length in 1..good.len() {
            assert_eq!(read(&good[..length]), [Record::Garbled], "{length}");
        }
        assert_eq!(read(&good), [Record::Event(ONE)], "the control");
    }

    #[test]
    fn no_file_and_no_process() {
        let overflow = RawEvent { mask: libc::FAN_Q_OVERFLOW, file: None, pid: 0, pidfd: None };
        assert_eq!(read(&event(overflow, &[])), [Record::Event(overflow)]);
        let negative = RawEvent { pid: u32::MAX, file: Some(-75), ..ONE };
        let expected = RawEvent { pid: 0, file: None, ..ONE };
        assert_eq!(read(&event(negative, &[])), [Record::Event(expected)]);
    }

    /// Bytes with a good chance of being believed for a while.
    fn likely() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            (any::<u64>(), any::<i32>(), any::<u32>(), vec(any::<u8>(), 0..20)).prop_map(
                |(mask, fd, pid, information)| {
                    event(RawEvent { mask, file: Some(fd), pid, pidfd: None }, &information)
                }
            ),
            any::<i32>().prop_map(|fd| event(ONE, &information(PIDFD, &fd.to_ne_bytes()))),
            vec(any::<u8>(), 0..30),
        ];
        let flips = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        (vec(piece, 0..5), flips).prop_map(|(pieces, flips)| {
            let mut bytes = pieces.concat();
            for (at, byte) in flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn any_bytes(bytes in prop_oneof![likely(), vec(any::<u8>(), 0..300)]) {
            let found = read(&bytes);
            prop_assert!(found.len() <= bytes.len() / METADATA + 1);
            let garbled = found.iter().position(|record| *record == Record::Garbled);
            prop_assert!(garbled.is_none_or(|at| at + 1 == found.len()));
            let mut numbers: Vec<RawFd> = Vec::new();
            for record in found {
                let Record::Event(event) = record else { continue };
                prop_assert!(event.file.is_none_or(|fd| fd >= 0));
                prop_assert!(event.pidfd.is_none_or(|fd| fd >= 0 && event.file != Some(fd)));
                numbers.extend(event.file.into_iter().chain(event.pidfd));
            }
            // Each stands in the bytes, and as often: none is made up, none used twice.
            for number in &numbers {
                let stands = bytes.windows(4).filter(|four| *four == number.to_ne_bytes()).count();
                prop_assert!(stands >= numbers.iter().filter(|other| *other == number).count());
            }
        }

        #[test]
        fn what_was_written_is_read(
            events in vec((any::<u64>(), 0..i32::MAX, 1..i32::MAX, 0..i32::MAX), 0..9),
        ) {
            let expected: Vec<_> = events
                .into_iter()
                .filter(|(_, fd, _, pidfd)| fd != pidfd)
                .map(|(mask, fd, pid, pidfd)| RawEvent {
                    mask, file: Some(fd), pid: u32::try_from(pid).unwrap(), pidfd: Some(pidfd),
                })
                .collect();
            let bytes: Vec<u8> = expected
                .iter()
                .flat_map(|it| event(*it, &information(PIDFD, &it.pidfd.unwrap().to_ne_bytes())))
                .collect();
            let expected: Vec<_> = expected.into_iter().map(Record::Event).collect();
            prop_assert_eq!(read(&bytes), expected);
        }
    }
}
