//! Random numbers from a seed, so that a failure can be repeated: the generator `SplitMix64` (Steele,
//! Lea and Flood, 2014), a counter and a mixer. Not for secrets.
//!
//! Shared by the tests and the tool that measures.

/// A source of random numbers.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins with a seed. The same seed gives the same numbers.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `limit`.
    pub(crate) const fn below(&mut self, limit: usize) -> usize {
        // Of 31 bits, the remainder favors small numbers by less than limit / 2^31.
        (self.number() >> 33) as usize % limit
    }

    /// That many bytes. All values are equally likely.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[0]).collect()
    }
}
