//! The warden: stands between every deploy tool and the activation of a generation.
