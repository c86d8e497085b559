//! One stream in each element of a vector: the algorithm, for vectors of any kind.
//!
//! A file that uses these macros brings a type `Vector` and functions of the names used here. So the
//! very code of the kernels that few processors can run is run over arrays on all of them, by
//! `lanes.rs`, and what is left to test where they exist are the functions, one by one.

/// Defines `compress`. `load_blocks` gives the words of one block of each stream.
macro_rules! wide {
    ($lanes:literal, $visible:vis $(, #[$attribute:meta])?) => {
        $(#[$attribute])?
        $visible fn compress(states: &mut [[u32; 8]; $lanes], blocks: &[&[$crate::stream::Block]; $lanes]) {
            let mut blocks = blocks.map(|blocks| blocks.iter());
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = {
                let mut words = [[0; $lanes]; 8];
                for (n, state) in states.iter().enumerate() {
                    for (word, of_state) in words.iter_mut().zip(state) {
                        if let Some(word) = word.get_mut(n) {
                            *word = *of_state;
                        }
                    }
                }
                words.each_ref().map(|words| from_words(words))
            };
            'blocks: loop {
                let mut each = [&[0; $crate::stream::BLOCK]; $lanes];
                for (block, blocks) in each.iter_mut().zip(&mut blocks) {
                    let Some(next) = blocks.next() else { break 'blocks };
                    *block = next;
                }
                let mut w = load_blocks(&each);
                let before = [a, b, c, d, e, f, g, h];
                rounds!(w, 0, extend; a b c d e f g h; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                rounds!(w, 1, extend; a b c d e f g h; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                rounds!(w, 2, extend; a b c d e f g h; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                rounds!(w, 3, keep; a b c d e f g h; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                let [a0, b0, c0, d0, e0, f0, g0, h0] = before;
                (a, b, c, d) = (add(a, a0), add(b, b0), add(c, c0), add(d, d0));
                (e, f, g, h) = (add(e, e0), add(f, f0), add(g, g0), add(h, h0));
            }
            let words = [a, b, c, d, e, f, g, h].map(|vector| to_words(vector));
            for (n, state) in states.iter_mut().enumerate() {
                for (word, of_state) in words.iter().zip(state) {
                    if let Some(word) = word.get(n) {
                        *of_state = *word;
                    }
                }
            }
        }
    };
}

/// Sixteen rounds, the first of which is `16 * $row`; each turns the names of the variables by one. `$then` is done after each.
macro_rules! rounds {
    ($w:ident, $row:literal, $then:ident; $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident;) => {};
    ($w:ident, $row:literal, $then:ident; $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident; $n:literal $($more:literal)*) => {
        let sigma = xor3(rotate::<6, 26>($e), rotate::<11, 21>($e), rotate::<25, 7>($e));
        let k = $crate::kernel::constants::K[4 * $row + $n / 4][$n % 4];
        let wk = add($w[$n], splat(k));
        let t1 = add(add($h, wk), add(sigma, choose($e, $f, $g)));
        let sigma = xor3(rotate::<2, 30>($a), rotate::<13, 19>($a), rotate::<22, 10>($a));
        let t2 = add(sigma, majority($a, $b, $c));
        $d = add($d, t1);
        $h = add(t1, t2);
        $then!($w, $n);
        rounds!($w, $row, $then; $h $a $b $c $d $e $f $g; $($more)*);
    };
}

/// The word sixteen rounds later takes the place of word `$n`.
macro_rules! extend {
    ($w:ident, $n:literal) => {
        let (w1, w14) = ($w[($n + 1) % 16], $w[($n + 14) % 16]);
        let sigma0 = xor3(rotate::<7, 25>(w1), rotate::<18, 14>(w1), shift::<3>(w1));
        let sigma1 = xor3(rotate::<17, 15>(w14), rotate::<19, 13>(w14), shift::<10>(w14));
        $w[$n] = add(add($w[$n], sigma0), add($w[($n + 9) % 16], sigma1));
    };
}

/// The last sixteen words are followed by none.
macro_rules! keep {
    ($w:ident, $n:literal) => {};
}

/// Four vectors, each quarter (of 128 bits) of which is a row of a square of words: the columns.
macro_rules! transpose_quarters {
    ($r0:expr, $r1:expr, $r2:expr, $r3:expr) => {{
        let (low01, high01) = (low_words($r0, $r1), high_words($r0, $r1));
        let (low23, high23) = (low_words($r2, $r3), high_words($r2, $r3));
        [
            low_pairs(low01, low23),
            high_pairs(low01, low23),
            low_pairs(high01, high23),
            high_pairs(high01, high23),
        ]
    }};
}

/// Defines `load_blocks` for vectors of sixteen words, one block in each.
macro_rules! load_blocks16 {
    ($(#[$attribute:meta])?) => {
        #[inline]
        $(#[$attribute])?
        fn load_blocks(blocks: &[&$crate::stream::Block; 16]) -> [Vector; 16] {
            transpose(blocks.map(|block| load(block)))
        }

        #[inline]
        $(#[$attribute])?
        fn transpose(rows: [Vector; 16]) -> [Vector; 16] {
            let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15] = rows;
            let [a0, a1, a2, a3] = transpose_quarters!(r0, r1, r2, r3);
            let [b0, b1, b2, b3] = transpose_quarters!(r4, r5, r6, r7);
            let [c0, c1, c2, c3] = transpose_quarters!(r8, r9, r10, r11);
            let [d0, d1, d2, d3] = transpose_quarters!(r12, r13, r14, r15);
            let [w0, w4, w8, w12] = gather_quarters(a0, b0, c0, d0);
            let [w1, w5, w9, w13] = gather_quarters(a1, b1, c1, d1);
            let [w2, w6, w10, w14] = gather_quarters(a2, b2, c2, d2);
            let [w3, w7, w11, w15] = gather_quarters(a3, b3, c3, d3);
            [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15]
        }

        /// The first quarters of four vectors, the second ones, and so on.
        #[inline]
        $(#[$attribute])?
        fn gather_quarters(a: Vector, b: Vector, c: Vector, d: Vector) -> [Vector; 4] {
            let (even_ab, odd_ab) = (even_quarters(a, b), odd_quarters(a, b));
            let (even_cd, odd_cd) = (even_quarters(c, d), odd_quarters(c, d));
            [
                even_quarters(even_ab, even_cd),
                even_quarters(odd_ab, odd_cd),
                odd_quarters(even_ab, even_cd),
                odd_quarters(odd_ab, odd_cd),
            ]
        }
    };
}

/// Defines `load_blocks` for vectors of eight words, half a block in each.
macro_rules! load_blocks8 {
    ($(#[$attribute:meta])?) => {
        #[inline]
        $(#[$attribute])?
        fn load_blocks(blocks: &[&$crate::stream::Block; 8]) -> [Vector; 16] {
            let none = splat(0);
            let (mut first, mut second) = ([none; 8], [none; 8]);
            for ((first, second), block) in first.iter_mut().zip(&mut second).zip(blocks) {
                if let ([half0, half1], []) = block.as_chunks() {
                    (*first, *second) = (load(half0), load(half1));
                }
            }
            let [w0, w1, w2, w3, w4, w5, w6, w7] = transpose(first);
            let [w8, w9, w10, w11, w12, w13, w14, w15] = transpose(second);
            [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15]
        }

        #[inline]
        $(#[$attribute])?
        fn transpose(rows: [Vector; 8]) -> [Vector; 8] {
            let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
            let [a0, a1, a2, a3] = transpose_quarters!(r0, r1, r2, r3);
            let [b0, b1, b2, b3] = transpose_quarters!(r4, r5, r6, r7);
            [
                low_halves(a0, b0),
                low_halves(a1, b1),
                low_halves(a2, b2),
                low_halves(a3, b3),
                high_halves(a0, b0),
                high_halves(a1, b1),
                high_halves(a2, b2),
                high_halves(a3, b3),
            ]
        }
    };
}
