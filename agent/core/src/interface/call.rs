//! The messages themselves: calls, their parameters, replies and errors.

use super::{INTERFACE, What};
use serde::{Deserialize, Serialize};

/// A call with parameters of the kind `P`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call<P> {
    /// The method with its interface, such as `io.narwarden.Status`.
    pub method: String,
    /// Its parameters.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub parameters: Option<P>,
    /// Whether the caller wants no reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oneway: Option<bool>,
    /// Whether the caller takes more than one reply. No method has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
    /// Whether the connection is to become another. No method does that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<bool>,
}

impl<P> Call<P> {
    /// A call of a method of [`INTERFACE`].
    #[must_use]
    pub fn new(method: &str, parameters: P) -> Self {
        Self {
            method: format!("{INTERFACE}.{method}"),
            parameters: Some(parameters),
            oneway: None,
            more: None,
            upgrade: None,
        }
    }
}

/// A reply with parameters of the kind `P`: an error if `error` is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply<P> {
    /// What was asked for, or the particulars of the error.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub parameters: Option<P>,
    /// The name of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The errors of [`INTERFACE`]: why the warden does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller is not uid 0.
    #[error("this is for root alone")]
    PermissionDenied,
    /// There is nothing of that name.
    #[error("there is no {name}")]
    NotFound {
        /// What was looked for.
        name: String,
    },
    /// It has as much to do as it takes on at a time.
    #[error("the warden is busy: try again")]
    Busy,
    /// It will not.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

impl Error {
    /// A refusal with its reason.
    #[must_use]
    pub fn refused(reason: impl std::fmt::Display) -> Self {
        Self::Refused { reason: reason.to_string() }
    }

    /// The name within the interface.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PermissionDenied => "PermissionDenied",
            Self::NotFound { .. } => "NotFound",
            Self::Busy => "Busy",
            Self::Refused { .. } => "Refused",
        }
    }

    /// Its one parameter, where it has one.
    #[must_use]
    pub fn parameter(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::PermissionDenied | Self::Busy => None,
            Self::NotFound { name } => Some(("name", name)),
            Self::Refused { reason } => Some(("reason", reason)),
        }
    }

    /// The error of that name, its parameters looked up with `get`.
    pub fn named(name: &str, get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let parameter = |key| get(key).unwrap_or_default();
        match name.strip_prefix(INTERFACE)?.strip_prefix('.')? {
            "PermissionDenied" => Some(Self::PermissionDenied),
            "NotFound" => Some(Self::NotFound { name: parameter("name") }),
            "Busy" => Some(Self::Busy),
            "Refused" => Some(Self::Refused { reason: parameter("reason") }),
            _ => None,
        }
    }
}

/// The parameters of `Verdicts`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The parameters of `Verify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// A store path, or the name of a generation link.
    pub target: String,
    /// Judge even what has a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// The reply to `Verify`, with a report of the kind `R`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyReply<R> {
    /// A report in the form `narwarden.verdict/1`.
    pub report: R,
}

/// The parameters of `Observe`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// For how long.
    pub seconds: u64,
    /// Why.
    pub reason: String,
}

/// The parameters of `QuarantineShow`, `QuarantineRelease` and `QuarantineDrop`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuarantineName {
    /// The name that `QuarantineList` gives.
    pub name: String,
}

/// The parameters of `Accept`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// Which file.
    pub what: What,
    /// The digest of what was looked at before accepting it.
    pub digest: String,
}

/// The parameters of `Pin`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The digest of the trust set that was looked at.
    pub trust_digest: String,
    /// The digest of the policy that was looked at.
    pub policy_digest: String,
}
