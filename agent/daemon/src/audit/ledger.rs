//! The receipts, also where they could not be opened at the start: no verdict admits until they can be written, and
//! until then every verdict tries.

use super::Announce;
use crate::places::Places;
use crate::state::Damage;
use crate::state::receipts::{Next, Receipt, ReceiptError, Receipts};
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
use std::sync::Arc;

/// Where receipts are written.
#[derive(Debug)]
pub struct Ledger {
    places: Places,
    announce: Arc<dyn Announce>,
    receipts: Option<Receipts>,
}

impl Ledger {
    /// Opens it as soon as that can be done; gives what was damaged.
    #[must_use]
    pub fn open(places: &Places, announce: Arc<dyn Announce>) -> (Self, Vec<Damage>) {
        let mut ledger = Self { places: places.clone(), announce, receipts: None };
        let damages = match Receipts::open(places) {
            Ok((receipts, damages)) => {
                ledger.receipts = Some(receipts);
                damages
            }
            Err(error) => {
                let event = Event::new(EventKind::Trouble)
                    .with(Field::What, "opening the receipts, without which nothing is admitted")
                    .with(Field::Error, error);
                // What is lost is counted where it is lost.
                let _ = ledger.announce.announce(&event);
                Vec::new()
            }
        };
        (ledger, damages)
    }

    fn receipts(&mut self) -> Result<&mut Receipts, ReceiptError> {
        match &mut self.receipts {
            Some(receipts) => Ok(receipts),
            none => {
                let (receipts, damages) = Receipts::open(&self.places)?;
                for damage in damages {
                    let event = Event::new(EventKind::StateDamaged)
                        .with(Field::File, damage.path.display())
                        .with(Field::Error, &damage.found);
                    let _ = self.announce.announce(&event);
                }
                Ok(none.insert(receipts))
            }
        }
    }

    /// The receipt that comes next, to be announced before it is written.
    pub(super) fn next(&mut self, now: Timestamp, receipt: &Receipt) -> Result<Next, ReceiptError> {
        self.receipts()?.next(now, receipt)
    }

    /// Writes it.
    pub(super) fn append(&mut self, next: Next) -> Result<(), ReceiptError> {
        self.receipts()?.append(next).map(drop)
    }
}
