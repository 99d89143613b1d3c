//! Records for other programs, a line for each: as they are, or as events of OCSF. Whoever exports goes on by index.

mod jsonl;
mod ocsf;

pub use jsonl::jsonl;
pub use ocsf::{Ocsf, VERSION};
