//! SHA-256 of many streams at once.
//!
//! One stream of SHA-256 is bound by the latency of its rounds: each needs the result of the one
//! before. Streams of their own do not wait for each other, so that a processor that is given the
//! blocks of several at once computes two to three times as much in the same time. This crate takes
//! whole blocks of any number of streams, of uneven lengths, and runs them through the widest
//! kernel that pays; which one that is, is found at run time.
//!
//! ```
//! use narwarden_sha256::{Compressor, Lane, Sha256};
//!
//! let texts: [&[u8]; 3] = [&[b'a'; 1000], b"abc", &[0; 130]];
//! let mut streams = [const { Sha256::new() }; 3];
//! let mut lanes = Vec::new();
//! let mut tails = Vec::new();
//! for (stream, text) in streams.iter_mut().zip(texts) {
//!     let (lane, tail) = Lane::split(stream, text);
//!     lanes.push(lane);
//!     tails.push(tail);
//! }
//! Compressor::detect().update(&mut lanes);
//!
//! let [_, abc, _] = streams;
//! assert_eq!(abc.finish(tails[1])[..4], [0xba, 0x78, 0x16, 0xbf]);
//! ```
//!
//! - [`Sha256`]: the state of one stream, without a buffer: a caller keeps what is no whole block
//! - [`Compressor`]: divides the blocks of many streams among kernels
//! - [`Kernel`]: which there are, and which this processor has
//!
//! FIPS 180-4 is the specification. `unsafe` is confined to the files of `kernel/`: loads, and
//! calls of functions that need what a processor may not have. Each such function can be reached
//! only through a value that was made by asking the processor.

mod compressor;
mod kernel;
mod stream;

pub use compressor::{Compressor, Lane};
pub use kernel::Kernel;
pub use stream::{BLOCK, Block, Sha256};
