//! Throw-away keys, and the signatures that honest and dishonest holders make with them.

use curve25519_dalek::scalar::Scalar;
use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use narwarden_core::hash::sha256;
use sha2::{Digest, Sha512};

/// The order of the group, little-endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A secret key that is no secret: it follows from its seed.
#[derive(Clone, Debug)]
pub struct Signer {
    name: String,
    key: SigningKey,
}

/// The build farm's key, which signs everything.
#[must_use]
pub fn ci() -> Signer {
    Signer::new("ci.demo.example-1", 1)
}

/// The release key, which signs toplevels.
#[must_use]
pub fn release() -> Signer {
    Signer::new("release.demo.example-1", 2)
}

/// The key of a cache that signs for everybody.
#[must_use]
pub fn community() -> Signer {
    Signer::new("cache.community.example-1", 3)
}

/// A key that nobody should pin.
#[must_use]
pub fn attacker() -> Signer {
    Signer::new("cache.attacker.example-1", 4)
}

impl Signer {
    /// The key of this seed, under this name.
    pub fn new(name: impl Into<String>, seed: u8) -> Self {
        Self { name: name.into(), key: SigningKey::from_bytes(&[seed; 32]) }
    }

    /// A key that follows from `label` and from nothing else, under this name.
    pub fn derived(name: impl Into<String>, label: &str) -> Self {
        let seed = sha256(format!("narwarden throw-away key {label}").as_bytes());
        Self { name: name.into(), key: SigningKey::from_bytes(&seed) }
    }

    /// The name in its signatures.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same key under another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), key: self.key.clone() }
    }

    /// The public half, `name:base64`.
    #[must_use]
    pub fn public_key(&self) -> String {
        format!("{}:{}", self.name, BASE64.encode(self.key.verifying_key().as_bytes()))
    }

    /// The signature over `message`, `name:base64`.
    #[must_use]
    pub fn sign(&self, message: &str) -> String {
        self.text(&self.key.sign(message.as_bytes()).to_bytes())
    }

    /// One of many other signatures over `message`, all of them good: whoever has the key may choose the
    /// number that RFC 8032 derives from it.
    #[must_use]
    pub fn sign_again(&self, message: &str, choice: u8) -> String {
        let nonce = SigningKey::from_bytes(&[choice; 32]);
        let point = nonce.verifying_key().to_bytes();
        let challenge = Sha512::new()
            .chain_update(point)
            .chain_update(self.key.verifying_key().as_bytes())
            .chain_update(message)
            .finalize();
        let challenge = Scalar::from_bytes_mod_order_wide(&challenge.into());
        let answer = nonce.to_scalar() + challenge * self.key.to_scalar();
        self.text(&join(&point, &answer.to_bytes()))
    }

    /// The signature over `message` with the order of the group added to its second half: the same number,
    /// written in a way that RFC 8032, section 5.1.7 refuses.
    #[must_use]
    pub fn sign_non_canonically(&self, message: &str) -> String {
        let signature = self.key.sign(message.as_bytes());
        let mut carry = 0_u16;
        let mut sum = [0; 32];
        for ((sum, half), order) in sum.iter_mut().zip(signature.s_bytes()).zip(ORDER) {
            let [low, high] = (u16::from(*half) + u16::from(order) + carry).to_le_bytes();
            (*sum, carry) = (low, u16::from(high));
        }
        self.text(&join(signature.r_bytes(), &sum))
    }

    /// A signature over `message` whose first half is the neutral point: it solves the equation, and RFC 8032 without
    /// more takes it.
    #[must_use]
    pub fn sign_with_small_order(&self, message: &str) -> String {
        let mut point = [0; 32];
        point[0] = 1;
        let challenge = Sha512::new()
            .chain_update(point)
            .chain_update(self.key.verifying_key().as_bytes())
            .chain_update(message)
            .finalize();
        let answer = Scalar::from_bytes_mod_order_wide(&challenge.into()) * self.key.to_scalar();
        self.text(&join(&point, &answer.to_bytes()))
    }

    fn text(&self, signature: &[u8; 64]) -> String {
        format!("{}:{}", self.name, BASE64.encode(signature))
    }
}

fn join(first: &[u8; 32], second: &[u8; 32]) -> [u8; 64] {
    let mut joined = [0; 64];
    joined.iter_mut().zip(first.iter().chain(second)).for_each(|(to, from)| *to = *from);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use narwarden_core::signature::{PublicKey, Signature};

    /// Control: who only solves the equation takes it, so it is the order that is refused.
    #[test]
    fn a_small_order_is_what_is_wrong_with_it() {
        use ed25519_dalek::Verifier as _;
        let signer = ci();
        let text = signer.sign_with_small_order("message");
        let signature = Signature::parse(&text).unwrap();
        let bytes = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
        let key = signer.key.verifying_key();
        assert!(key.verify(b"message", &bytes).is_ok());
        assert!(key.verify_strict(b"message", &bytes).is_err());
    }

    #[test]
    fn which_signatures_are_good() {
        let signer = ci();
        let key = PublicKey::parse(&signer.public_key()).unwrap();
        let good = |text: String| key.verifies(b"message", &Signature::parse(&text).unwrap());
        assert!(good(signer.sign("message")));
        assert!(good(signer.sign_again("message", 1)));
        assert_ne!(signer.sign_again("message", 1), signer.sign_again("message", 2));
        assert!(!good(signer.sign_non_canonically("message")));
        assert!(!good(signer.sign_with_small_order("message")));
        assert!(!good(signer.sign("another")));
        assert!(!good(signer.sign_again("another", 1)));
        assert!(!good(attacker().named(signer.name()).sign("message")));
    }
}
