//! The reply to `Status`.

use super::MOST_GENERATIONS;
use serde::{Deserialize, Serialize};

/// The state of the warden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of narwardend.
    pub version: String,
    /// Whether it does its work.
    pub state: State,
    /// Whether denials hold.
    pub mode: Mode,
    /// The pinned trust set; absent where nothing is pinned, which denies everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// The pinned policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// What the kernel asks about.
    pub marks: Marks,
    /// The links that a boot loader would list, and those in quarantine.
    pub generations: Vec<Generation>,
    /// How many are not in that list, since there are too many.
    #[serde(default)]
    pub generations_omitted: u64,
    /// The toplevels that are being judged or wait to be.
    pub pending: Vec<String>,
    /// What was answered.
    pub gate: Gate,
    /// The memory that narwardend holds.
    pub memory_kib: u64,
    /// Whether verdicts can be written down.
    pub journal: JournalState,
    /// What of its state was damaged, and where it was put.
    pub damage: Vec<String>,
    /// How far hashing everything again is; absent from a warden that does not do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<Scrub>,
}

/// Hashing everything again, in the background.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// The round under way, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<ScrubRound>,
    /// The last round that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ScrubDone>,
}

/// A round under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubRound {
    /// When it began, in RFC 3339.
    pub begun: String,
    /// How many paths are done with.
    pub paths: u64,
    /// Of how many.
    pub total: u64,
    /// How many bytes of NARs were hashed.
    pub bytes: u64,
    /// How many paths had drifted.
    pub drift: u64,
}

/// A round that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubDone {
    /// When it began, in RFC 3339.
    pub begun: String,
    /// When it ended.
    pub ended: String,
    /// How many paths it measured.
    pub paths: u64,
    /// How many bytes of NARs.
    pub bytes: u64,
    /// How many paths had drifted.
    pub drift: u64,
}

impl Status {
    /// The status with no more in it than fits into one reply: the last generations, the first of what is
    /// pending.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let excess = self.generations.len().saturating_sub(MOST_GENERATIONS);
        self.generations.drain(..excess);
        self.generations_omitted = self.generations_omitted.saturating_add(excess as u64);
        self.pending.truncate(MOST_GENERATIONS);
        self.damage.truncate(MOST_GENERATIONS);
        self
    }
}

/// Whether the warden does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It answers, and has not looked at every generation yet.
    Starting,
    /// It does.
    Ready,
    /// Something it needs is missing; whatever depends on that is denied.
    Degraded,
}

/// Whether denials hold, and until when they do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// Whether they hold.
    pub kind: ModeKind,
    /// When observing ends, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why, in an operator's words, or because of what in the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the policy alone says: while it says `observe`, no operator can end that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ModeKind>,
}

/// Whether denials hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeKind {
    /// They do.
    Enforce,
    /// They are written down.
    Observe,
}

/// The pinned trust set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Its own version number.
    pub version: u64,
    /// SHA-256 in base 16.
    pub digest: String,
    /// When nothing new is admitted by it any more, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// The pinned policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// SHA-256 in base 16.
    pub digest: String,
}

/// What the kernel asks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Entry points that are held shut.
    pub held_files: u64,
    /// File systems on which every exec is seen.
    pub watched_filesystems: u64,
}

/// A link that a boot loader would list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its name below the profiles directory.
    pub link: String,
    /// Where it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toplevel: Option<String>,
    /// What is held of it.
    pub standing: Standing,
    /// Why it leads to no store path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is held of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may run.
    Admitted,
    /// It may not.
    Denied,
    /// Nothing is known yet, so it may not.
    Pending,
    /// It is older than the enrolment: kept, and not admitted by that.
    Grandfathered,
    /// It was denied, and moved to where no boot loader looks.
    Quarantined,
}

impl Standing {
    /// Every standing.
    pub const ALL: &[Self] =
        &[Self::Admitted, Self::Denied, Self::Pending, Self::Grandfathered, Self::Quarantined];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Denied => "denied",
            Self::Pending => "pending",
            Self::Grandfathered => "grandfathered",
            Self::Quarantined => "quarantined",
        }
    }
}

/// What was answered since the warden started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// How often the kernel asked.
    pub requests: u64,
    /// How often the answer was yes.
    pub allowed: u64,
    /// How often it was no.
    pub denied: u64,
    /// How long the gate took to answer what it could answer.
    pub histogram: Vec<Bin>,
    /// The longest of these, in microseconds.
    pub max_us: u64,
}

/// How many answers took at most so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin {
    /// The bound in microseconds; absent in the last bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_us: Option<u64>,
    /// How many that were in no earlier bin.
    pub count: u64,
}

/// Whether verdicts can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// They can.
    Connected,
    /// They cannot, so nothing new is admitted.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_cut_at_its_old_end_and_says_so() {
        let generation = |number: usize| Generation {
            link: format!("system-{number}-link"),
            toplevel: None,
            standing: Standing::Pending,
            problem: None,
        };
        let status = Status {
            version: String::new(),
            state: State::Ready,
            mode: Mode { kind: ModeKind::Enforce, until: None, reason: None, policy: None },
            trust: None,
            policy: None,
            marks: Marks::default(),
            generations: (0..MOST_GENERATIONS + 5).map(generation).collect(),
            generations_omitted: 2,
            pending: Vec::new(),
            gate: Gate::default(),
            memory_kib: 0,
            journal: JournalState::Connected,
            damage: Vec::new(),
            scrub: None,
        };
        let bounded = status.bounded();
        assert_eq!(bounded.generations.len(), MOST_GENERATIONS);
        assert_eq!(bounded.generations[0].link, "system-5-link");
        assert_eq!(bounded.generations_omitted, 7);
    }
}
