//! The wide kernels over arrays. Slower than one stream at a time: they are here for the tests, which
//! run the code of `wide.rs` by them on any processor. Inlined, they would be minutes to compile.

/// The functions that `wide.rs` uses, for vectors of so many words. What is called low and high is
/// so within each quarter (of 128 bits) of a vector, as in AVX.
macro_rules! arrays {
    ($lanes:literal) => {
        pub(in crate::kernel) type Vector = [u32; $lanes];

        /// Words in big-endian order.
        #[inline(never)]
        pub(in crate::kernel) fn load(bytes: &[u8; 4 * $lanes]) -> Vector {
            let mut vector = [0; $lanes];
            for (word, bytes) in vector.iter_mut().zip(bytes.as_chunks().0) {
                *word = u32::from_be_bytes(*bytes);
            }
            vector
        }

        pub(in crate::kernel) const fn from_words(words: &[u32; $lanes]) -> Vector {
            *words
        }

        pub(in crate::kernel) const fn to_words(vector: Vector) -> [u32; $lanes] {
            vector
        }

        pub(in crate::kernel) const fn splat(word: u32) -> Vector {
            [word; $lanes]
        }

        #[inline(never)]
        pub(in crate::kernel) fn add(a: Vector, b: Vector) -> Vector {
            each(a, b, a, |a, b, _| a.wrapping_add(b))
        }

        #[inline(never)]
        pub(in crate::kernel) fn xor3(a: Vector, b: Vector, c: Vector) -> Vector {
            each(a, b, c, |a, b, c| a ^ b ^ c)
        }

        /// Bits of `b` where `a` has one, of `c` elsewhere.
        #[inline(never)]
        pub(in crate::kernel) fn choose(a: Vector, b: Vector, c: Vector) -> Vector {
            each(a, b, c, |a, b, c| (a & b) ^ (!a & c))
        }

        /// Bits that two or three of them have.
        #[inline(never)]
        pub(in crate::kernel) fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
            each(a, b, c, |a, b, c| (a & b) ^ (a & c) ^ (b & c))
        }

        /// To the right by `R`, which is to the left by `L`.
        #[inline(never)]
        pub(in crate::kernel) fn rotate<const R: u32, const L: u32>(a: Vector) -> Vector {
            const { assert!(R + L == 32) };
            a.map(|word| word.rotate_right(R))
        }

        /// To the right.
        #[inline(never)]
        pub(in crate::kernel) fn shift<const R: u32>(a: Vector) -> Vector {
            a.map(|word| word >> R)
        }

        /// The lower two words of each quarter of `a` and `b`, in turn.
        #[inline(never)]
        pub(in crate::kernel) fn low_words(a: Vector, b: Vector) -> Vector {
            quarters(a, b, |[a0, a1, _, _], [b0, b1, _, _]| [a0, b0, a1, b1])
        }

        #[inline(never)]
        pub(in crate::kernel) fn high_words(a: Vector, b: Vector) -> Vector {
            quarters(a, b, |[_, _, a2, a3], [_, _, b2, b3]| [a2, b2, a3, b3])
        }

        /// The lower pair of words of each quarter of `a`, then that of `b`.
        #[inline(never)]
        pub(in crate::kernel) fn low_pairs(a: Vector, b: Vector) -> Vector {
            quarters(a, b, |[a0, a1, _, _], [b0, b1, _, _]| [a0, a1, b0, b1])
        }

        #[inline(never)]
        pub(in crate::kernel) fn high_pairs(a: Vector, b: Vector) -> Vector {
            quarters(a, b, |[_, _, a2, a3], [_, _, b2, b3]| [a2, a3, b2, b3])
        }

        fn each(a: Vector, b: Vector, c: Vector, of: impl Fn(u32, u32, u32) -> u32) -> Vector {
            let mut result = a;
            for (word, (b, c)) in result.iter_mut().zip(b.into_iter().zip(c)) {
                *word = of(*word, b, c);
            }
            result
        }

        fn quarters(a: Vector, b: Vector, of: impl Fn([u32; 4], [u32; 4]) -> [u32; 4]) -> Vector {
            let mut result = a;
            for (quarter, b) in result.as_chunks_mut().0.iter_mut().zip(b.as_chunks().0) {
                *quarter = of(*quarter, *b);
            }
            result
        }
    };
}

/// Eight streams, as with AVX2.
pub(super) mod x8 {
    arrays!(8);
    wide!(8, pub(in crate::kernel));
    load_blocks8!();

    /// The lower halves of `a` and `b`.
    pub(in crate::kernel) const fn low_halves(a: Vector, b: Vector) -> Vector {
        let ([a0, a1, a2, a3, ..], [b0, b1, b2, b3, ..]) = (a, b);
        [a0, a1, a2, a3, b0, b1, b2, b3]
    }

    pub(in crate::kernel) const fn high_halves(a: Vector, b: Vector) -> Vector {
        let ([.., a4, a5, a6, a7], [.., b4, b5, b6, b7]) = (a, b);
        [a4, a5, a6, a7, b4, b5, b6, b7]
    }
}

/// Sixteen streams, as with AVX-512.
pub(super) mod x16 {
    arrays!(16);
    wide!(16, pub(in crate::kernel));
    load_blocks16!();

    /// The first and third quarters of `a`, then of `b`.
    pub(in crate::kernel) fn even_quarters(a: Vector, b: Vector) -> Vector {
        pick(a, b, 0)
    }

    /// The second and fourth quarters of `a`, then of `b`.
    pub(in crate::kernel) fn odd_quarters(a: Vector, b: Vector) -> Vector {
        pick(a, b, 1)
    }

    fn pick(a: Vector, b: Vector, first: usize) -> Vector {
        let mut result = a;
        let (a, b) = (a.as_chunks::<4>().0.iter(), b.as_chunks::<4>().0.iter());
        let picked = a.skip(first).step_by(2).chain(b.skip(first).step_by(2));
        for (quarter, picked) in result.as_chunks_mut::<4>().0.iter_mut().zip(picked) {
            *quarter = *picked;
        }
        result
    }
}
