//! Stands for the kernels of another architecture: there is no way to make one.

use crate::stream::Block;

#[derive(Clone, Copy, Debug)]
pub(super) enum Found {}

impl Found {
    pub(super) const fn detect() -> Option<Self> {
        None
    }

    pub(super) const fn compress<const N: usize>(
        self,
        _states: &mut [[u32; 8]; N],
        _blocks: &[&[Block]; N],
    ) {
        match self {}
    }
}
