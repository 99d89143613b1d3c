//! Enumerations whose names are words of the API: each stands in one line, with what it means for people.

/// An enumeration of words: its name, then one line for each word and what it means.
macro_rules! words {
    ($(#[$about:meta])* $name:ident $($word:ident $meaning:literal)+) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $meaning] $word,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$word,)+];

            /// CamelCase, as it stands in the API.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$word => stringify!($word),)+
                }
            }

            /// What it means: a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$word => $meaning,)+
                }
            }
        }
    };
}

pub(crate) use words;
