//! The warden: stands between every deploy tool and the activation of a generation.

pub mod audit;
pub mod confine;
pub mod desk;
pub mod engine;
pub mod entry_points;
pub mod gate;
pub mod generations;
pub mod hints;
pub mod ipc;
pub mod mode;
pub mod places;
pub mod policy_cell;
pub mod quarantine;
pub mod renewal;
pub mod scrub;
pub mod service;
pub mod state;
pub mod table;
pub mod temp_root;
pub mod warden;
pub mod watcher;
