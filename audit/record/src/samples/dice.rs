//! Numbers for tests that look like chance, and are the same in every run.

/// Dice: xorshift64*, as Vigna gives it.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same numbers for the same seed.
    pub fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `sides` - 1.
    pub fn below<N: TryFrom<u64> + TryInto<u64>>(&mut self, sides: N) -> N {
        let sides = sides.try_into().unwrap_or(u64::MAX);
        let number = (self.roll() >> 11).checked_rem(sides).unwrap_or(0);
        N::try_from(number).unwrap_or_else(|_| unreachable!("less than a number of that type"))
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.below(2_u8) == 0
    }
}
