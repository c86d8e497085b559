//! Makes small Nix stores with real signatures, good and evil, for the demonstration and the tests.
//!
//! Never linked by the daemon. Needs neither root nor Nix; what it makes belongs to whoever runs it.
//!
//! ```text
//! Workshop ─► Forge ─► good generation ─► attack ─► the toplevel to judge
//! ```
//!
//! ```
//! use narwarden_forge::{Forge, Workshop, attacks};
//!
//! for attack in attacks() {
//!     let workshop = Workshop::new()?;
//!     let mut forge = Forge::new(workshop.root())?;
//!     let generation = forge.good_generation()?;
//!     let toplevel = attack.apply(&mut forge, &generation)?;
//!     // Judge `toplevel` by `attack.setup()` in the store below `forge.root()`.
//! }
//! # Ok::<(), narwarden_forge::ForgeError>(())
//! ```

mod attacks;
mod disk;
mod error;
pub mod fixture;
mod generation;
mod rows;
mod rules;
mod signer;
mod store;
mod tree;
mod workshop;

pub use attacks::{Attack, Control, Outcome, Setup, attacks};
pub use disk::{canonicalise, unlock};
pub use error::ForgeError;
pub use generation::Generation;
pub use rows::Column;
pub use rules::{NOW, Rules};
pub use signer::{Signer, attacker, ci, community, release};
pub use store::{Addressing, Forge};
pub use tree::{SELF, Tree};
pub use workshop::Workshop;
