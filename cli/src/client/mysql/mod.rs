//! The `mysql` and `mariadb` programs, and the option file that points them to a tunnel. It runs nothing else.

mod option_file;
mod program;

pub use option_file::{OptionFile, instructions};
pub use program::Program;
