//! Which of the 256 entries of a bundle are meant, in few bytes. Pure.

/// How many places a set of bits has bytes for.
const BITS: usize = 32;

/// Some of the 256 places of a bundle.
///
/// As bytes: up to 31 places one byte for each, in order; more of them 32 bytes, a bit for each place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places([u64; 4]);

impl Places {
    /// All of them.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// Adds one.
    pub fn put(&mut self, place: u8) {
        if let Some(word) = self.0.get_mut(usize::from(place >> 6)) {
            *word |= 1 << (place & 63);
        }
    }

    /// Whether it is one of them.
    pub fn has(&self, place: u8) -> bool {
        self.0.get(usize::from(place >> 6)).is_some_and(|word| word >> (place & 63) & 1 == 1)
    }

    /// Those that are in both.
    pub fn and(self, other: Self) -> Self {
        let Self([a, b, c, d]) = self;
        let Self([e, f, g, h]) = other;
        Self([a & e, b & f, c & g, d & h])
    }

    /// Those that are in one of them.
    pub fn or(self, other: Self) -> Self {
        let Self([a, b, c, d]) = self;
        let Self([e, f, g, h]) = other;
        Self([a | e, b | f, c | g, d | h])
    }

    /// Those that the other one has not.
    pub fn without(self, other: Self) -> Self {
        let Self(words) = other;
        self.and(Self(words.map(|word| !word)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// In order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |place| self.has(*place))
    }

    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        let places: Vec<u8> = self.iter().take(BITS).collect();
        if places.len() < BITS { places } else { self.0.iter().flat_map(|word| word.to_le_bytes()).collect() }
    }

    /// From bytes; `None`, where they are not what [`Places::encode`] gives.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut places = Self::default();
        if bytes.len() < BITS {
            bytes.iter().for_each(|place| places.put(*place));
        } else {
            let (words, rest) = bytes.as_chunks::<8>();
            if words.len() != places.0.len() || !rest.is_empty() {
                return None;
            }
            places.0.iter_mut().zip(words).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
        }
        (places.encode() == bytes).then_some(places)
    }
}

impl FromIterator<u8> for Places {
    fn from_iter<T: IntoIterator<Item = u8>>(places: T) -> Self {
        let mut all = Self::default();
        places.into_iter().for_each(|place| all.put(place));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_one_form_and_come_back() {
        let of = |places: &[u8]| places.iter().copied().collect::<Places>();
        for (places, length) in [
            (of(&[]), 0),
            (of(&[0]), 1),
            (of(&[255, 3, 64]), 3),
            ((0..31).collect(), 31),
            ((0..32).collect(), 32),
            (Places::ALL, 32),
        ] {
            assert_eq!(places.encode().len(), length);
            assert_eq!(Places::decode(&places.encode()), Some(places));
        }
        assert_eq!(of(&[255, 3, 64]).iter().collect::<Vec<_>>(), [3, 64, 255]);
        for bad in [&[3, 3][..], &[4, 3], &[0; 32], &[0; 33], &[0xff; 40]] {
            assert_eq!(Places::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn places_are_sets() {
        let of = |places: &[u8]| places.iter().copied().collect::<Places>();
        let (one, other) = (of(&[1, 70, 200]), of(&[70, 201]));
        assert_eq!(one.and(other), of(&[70]));
        assert_eq!(one.or(other), of(&[1, 70, 200, 201]));
        assert_eq!(one.without(other), of(&[1, 200]));
        assert!(one.without(Places::ALL).is_empty() && !one.is_empty() && one.has(200) && !one.has(201));
    }
}
