//! What seals are bound to: this run of the kernel, the file system and directory of the store, a clock that nobody
//! set since (but for a nudge), and to whom the store belongs. Seals of anything else are none.

use super::NoSeals;
use narwarden_core::metadata::Owner;
use narwarden_linux::boot::{BootId, Clock, FileSystem};
use narwarden_linux::tree::StoreDirectory;

/// Bytes of a binding.
pub(super) const BINDING: usize = 16 + 4 * 8 + 16 + 2 * 4;

/// Where the lead of the wall clock stands in a binding.
const LEAD: std::ops::Range<usize> = 48..64;

/// Nanoseconds by which the wall clock may have been moved: hosts nudge the clocks of their virtual machines. Nothing is
/// sealed that is younger than two seconds, and one nudge may have come before the sealing and one after it, so that
/// no later change gets an older stamp.
const NUDGE: u128 = 500_000_000;

/// Whether what was bound to `made` holds where `now` would be bound to: all is the same, but that the clock may have
/// been nudged.
pub(super) fn agree(made: &[u8; BINDING], now: &[u8; BINDING]) -> bool {
    let lead = |all: &[u8; BINDING]| {
        all.get(LEAD).and_then(|bytes| bytes.try_into().ok()).map(i128::from_le_bytes)
    };
    let others = |all: &[u8; BINDING]| {
        let mut all = *all;
        all.get_mut(LEAD).into_iter().for_each(|bytes| bytes.fill(0));
        all
    };
    let nudged = lead(made).zip(lead(now)).is_some_and(|(made, now)| nudged(made, now));
    nudged && others(made) == others(now)
}

fn nudged(one: i128, other: i128) -> bool {
    one.abs_diff(other) < NUDGE
}

/// What seals are bound to, and what they are held against.
#[derive(Debug)]
pub(super) struct Binding {
    /// The mount that every node must be reached through.
    pub(super) mount: u64,
    lead: i128,
    bytes: [u8; BINDING],
}

impl Binding {
    /// That of seals made or believed at `clock`.
    pub(super) fn of(store: &StoreDirectory, clock: Clock, owner: Owner) -> Result<Self, NoSeals> {
        let Owner { uid, gid } = owner;
        let failed = |error: std::io::Error| NoSeals::System(error.to_string());
        let file_system = store.file_system().map_err(failed)?;
        if !file_system.stamps_every_change() {
            return Err(NoSeals::FileSystem(file_system.kind));
        }
        let metadata = store.metadata().map_err(failed)?;
        if metadata.mount == 0 {
            return Err(NoSeals::NoMountIds);
        }
        let boot = BootId::current().map_err(failed)?;
        let FileSystem { kind, id } = file_system;
        let mut bytes = [0; BINDING];
        let numbers = [kind, id, metadata.device, metadata.inode].map(u64::to_le_bytes);
        let parts = [boot.as_bytes().as_slice(), numbers.as_flattened()];
        let (lead, owner) = (clock.lead.to_le_bytes(), [uid, gid].map(u32::to_le_bytes));
        let all = parts.into_iter().chain([lead.as_slice(), owner.as_flattened()]);
        for (byte, value) in bytes.iter_mut().zip(all.flatten()) {
            *byte = *value;
        }
        Ok(Self { mount: metadata.mount, lead: clock.lead, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8; BINDING] {
        &self.bytes
    }

    /// Whether the clock still goes on as it did, but for a nudge.
    pub(super) fn holds(&self) -> bool {
        Clock::now().is_ok_and(|clock| nudged(clock.lead, self.lead))
    }
}
