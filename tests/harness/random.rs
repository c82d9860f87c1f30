//! Random numbers from a seed, so that a failure can be repeated. The generator is `SplitMix64` (Steele,
//! Lea and Flood, 2014), which mixes the bits of a counter. It is not meant for secrets.
//!
//! The tests and the measuring tool in `tests/load` share this module.

/// A source of random numbers.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Creates a generator. The same seed always produces the same sequence of numbers.
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

    /// Returns a random number below `limit`.
    pub(crate) const fn below(&mut self, limit: usize) -> usize {
        // The remainder makes small numbers slightly more likely. For 31 bits the bias is below limit / 2^31.
        (self.number() >> 33) as usize % limit
    }

    /// Returns `count` random bytes. All 256 values are equally likely.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[0]).collect()
    }
}
