//! The daemon itself, with real marks, against rows G01 to G18 of the threat model, as far as no service manager is
//! needed. `tests/run live` runs them; they need root and fanotify(7), and say so where they skip.
//!
//! Each test runs in a mount and a process namespace of its own, below a file system that nothing else uses, and marks
//! nothing else: what goes wrong hangs nobody, and for a bounded time. The parts that stand for the journal and the
//! service manager are threads here. Nothing is timed; bench/ does that.
//!
//! | row | tests | control: it goes through … |
//! |-----|-------|----------------------------|
//! | G01 | `activation::{every_verb, other_entry_points}…`, `surface::*`, `ext4::every_verb…` | without the daemon; in observe (`admission::observing…`) |
//! | G02 | `activation::{other_names, a_descriptor}…`, `paths::{links_that_lead_there, a_deployment_tool_s}…`, `ext4::{other_names, descriptors}…` | without the daemon |
//! | G03 | `activation::{interpreters, the_loader}…`, `ext4::descriptors…`, `readers::*` | without the daemon; the readers' own inodes |
//! | G04 | `activation::the_shared_program…`, `ext4::the_shared_program…` | without the daemon; through an admitted wrapper |
//! | G05 | `activation::{namespaces, an_overlay}…`, `ext4::mounts…` | without the daemon |
//! | G06 | `inodes::a_hard_link…`, `ext4::a_hard_link…` | without the daemon |
//! | G07 | `death::*`, `renewal::*`, `ext4::what_was_held…` | `death::without_a_descriptor_store…`, the same program |
//! | G08 | `agent::*`; the rest needs systemd: tests/vm | what brings the unit runs; so does all where nothing asks for it |
//! | G09 | needs systemd: tests/vm | |
//! | G10 | `profiles::{a_rejected_generation, an_unadmitted_link}…`, `ext4::a_rejected_generation…` | `on-reject = "alert"`, in the second |
//! | G11 | `profiles::{a_profile_that_flips, a_profile_that_follows, a_thousand}…` | the good one runs |
//! | G12 | `load::{a_verification, files_that_are_new}…`, `crowd::*` | the activation itself waits; new files are asked about |
//! | G13 | `trouble::*`, `upkeep::*`, `company::*`, `admission::{without_a_journal, without_rules}…` | what was admitted before runs; so does the rest, afterwards |
//! | G14 | `paths::{starters_of_any_kind, the_orders_of_tools}…`, `activation::other_names…` | without the daemon |
//! | G15 | `admission::at_the_deadline…`, `clock::*` | the next try runs; a steady clock judges nothing again |
//! | G16 | `shared::*`, `intruders::*`, `inodes::a_file_shared…` | what is not shared stays shut |
//! | G17 | `inodes::the_daemon_reads…`, `trouble::a_crash…`, `sandbox::*` | an other process dumps core; the gate keeps what it needs |
//! | D17 to D20 | `seals::*`; the rules one by one in narwarden-store | what did not change is not hashed; a scrub of what is whole finds nothing |
//! | G18 | `tests/ipc_hostile.rs`, which needs no mark | in there |
//!
//! Each attack is tried for an admitted generation too, where it goes through with the daemon there. Ignored
//! tests are what the daemon does not do yet, with the reason: `cargo test -p narwardend --test live -- --ignored`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "what a test does not expect ends it"
)]

#[path = "live/activation.rs"]
mod activation;
#[path = "live/admission.rs"]
mod admission;
#[path = "live/agent.rs"]
mod agent;
#[path = "live/clock.rs"]
mod clock;
#[path = "live/company.rs"]
mod company;
#[path = "live/crowd.rs"]
mod crowd;
#[path = "live/death.rs"]
mod death;
#[path = "live/ext4.rs"]
mod ext4;
#[path = "live/host.rs"]
mod host;
#[path = "live/inodes.rs"]
mod inodes;
#[path = "live/intruders.rs"]
mod intruders;
#[path = "live/leads.rs"]
mod leads;
#[path = "live/links.rs"]
mod links;
#[path = "live/load.rs"]
mod load;
#[path = "live/makers.rs"]
mod makers;
#[path = "live/manager.rs"]
mod manager;
#[path = "live/paths.rs"]
mod paths;
#[path = "live/patience.rs"]
mod patience;
#[path = "live/place.rs"]
mod place;
#[path = "live/profiles.rs"]
mod profiles;
#[path = "live/readers.rs"]
mod readers;
#[path = "live/renewal.rs"]
mod renewal;
#[path = "live/sandbox.rs"]
mod sandbox;
#[path = "live/seals.rs"]
mod seals;
#[path = "live/shared.rs"]
mod shared;
#[path = "live/surface.rs"]
mod surface;
#[path = "live/system.rs"]
mod system;
#[path = "live/trouble.rs"]
mod trouble;
#[path = "live/upkeep.rs"]
mod upkeep;
#[path = "live/ways.rs"]
mod ways;
