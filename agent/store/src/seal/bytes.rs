//! Numbers as bytes, and reading them back from bytes that may be anything.

/// Appends `number`, seven bits a byte, the lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// What is left to read. Every question that the bytes do not answer is `None`, and nothing panics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// At most five bytes: nothing here is longer than 32 bits can say.
    pub(super) fn varint(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(number).ok();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_reads_back(number in 0..1u64 << 35) {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            let mut bytes = Bytes(&out);
            prop_assert_eq!(bytes.varint(), usize::try_from(number).ok());
            prop_assert!(bytes.is_empty());
            let cut = &out[..out.len() - 1];
            prop_assert_eq!(Bytes(cut).varint(), None);
        }
    }

    #[test]
    fn a_number_that_never_ends_is_none() {
        assert_eq!(Bytes(&[0xff; 100]).varint(), None);
    }
}
