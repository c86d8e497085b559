//! Trust sets and policies to judge forged stores by.

use crate::signer::{attacker, ci, community, release};
use jiff::Timestamp;

/// The moment at which forged stores are judged, 2026-10-01: rules here mention no later one.
pub const NOW: Timestamp = Timestamp::constant(1_790_812_800, 0);

/// A trust set and a policy, as TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The trust set.
    pub trust: String,
    /// The policy.
    pub policy: String,
}

impl Rules {
    /// What the good generation was made for: everything signed by `ci`, the toplevel by `release` too.
    #[must_use]
    pub fn good() -> Self {
        Self {
            trust: trust("", ""),
            policy: "[require]\ndefault = \"ci\"\ntoplevel = \"both\"\n".to_owned(),
        }
    }

    /// The same with `setting` under `[require]`.
    #[must_use]
    pub(crate) fn with(setting: &str) -> Self {
        let Self { trust, policy } = Self::good();
        Self { trust, policy: format!("{policy}{setting}\n") }
    }

    /// The same trust set with this policy.
    #[must_use]
    pub(crate) fn by_policy(policy: &str) -> Self {
        Self { policy: policy.to_owned(), ..Self::good() }
    }

    /// The good policy, and a trust set that says more of the key `ci`.
    #[must_use]
    pub(crate) fn ci_being(attributes: &str) -> Self {
        Self { trust: trust(attributes, ""), ..Self::good() }
    }

    /// Rules by which the attacker's key is as good as `ci`, under the public name that `called` says.
    #[must_use]
    pub(crate) fn attacker_pinned(called: &str) -> Self {
        let public = attacker().named(called).public_key();
        Self {
            trust: trust("", &format!("attacker = {{ public = \"{public}\" }}\n")),
            policy: "[require]\ndefault = { any = [\"ci\", \"attacker\"] }\ntoplevel = \"both\"\n"
                .to_owned(),
        }
    }
}

fn trust(of_ci: &str, more_keys: &str) -> String {
    let (ci, release, community) =
        (ci().public_key(), release().public_key(), community().public_key());
    format!(
        "[keys]\n\
         ci = {{ public = \"{ci}\"{of_ci} }}\n\
         release = {{ public = \"{release}\" }}\n\
         community = {{ public = \"{community}\", community = true }}\n\
         {more_keys}\n\
         [roles]\n\
         both = {{ keys = [\"ci\", \"release\"], threshold = 2 }}\n"
    )
}
