//! A set of pinned keys, small enough to copy.

/// The place of a key in its trust set, below [`MAX_KEYS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIndex(u8);

/// How many keys a trust set may pin: one bit of a [`KeySet`] each.
pub const MAX_KEYS: usize = 64;

impl KeyIndex {
    /// The index, if it is below [`MAX_KEYS`].
    #[must_use]
    pub fn new(position: usize) -> Option<Self> {
        u8::try_from(position).ok().filter(|_| position < MAX_KEYS).map(Self)
    }

    /// The position in the trust set.
    #[must_use]
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of keys of one trust set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySet(u64);

impl KeySet {
    /// The set without keys.
    pub const EMPTY: Self = Self(0);

    /// The set of one key.
    #[must_use]
    pub fn of(key: KeyIndex) -> Self {
        Self(1 << key.0)
    }

    /// Adds a key; a key that is in already changes nothing, so it can never count twice.
    pub fn insert(&mut self, key: KeyIndex) {
        self.0 |= Self::of(key).0;
    }

    /// Whether the key is in.
    #[must_use]
    pub fn contains(self, key: KeyIndex) -> bool {
        self.0 & Self::of(key).0 != 0
    }

    /// Whether no key is in.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many keys are in.
    #[must_use]
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The keys of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The keys that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The keys that are in this set and not in the other.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The keys, in the order of the trust set.
    pub fn iter(self) -> impl Iterator<Item = KeyIndex> {
        (0..64u8).map(KeyIndex).filter(move |key| self.contains(*key))
    }
}

impl FromIterator<KeyIndex> for KeySet {
    fn from_iter<I: IntoIterator<Item = KeyIndex>>(keys: I) -> Self {
        let mut set = Self::EMPTY;
        keys.into_iter().for_each(|key| set.insert(key));
        set
    }
}
