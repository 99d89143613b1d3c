//! The text itself: its tokens, its size and depth, and what of it goes to the server. Nothing here knows what SQL means.

pub(crate) mod caps;
pub(crate) mod forward;
pub(crate) mod lexer;
pub(crate) mod not_utf8;
pub(crate) mod phrases;
pub(crate) mod split;
