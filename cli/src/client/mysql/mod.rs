//! The `mysql` and `mariadb` programs, and the option file that points them to a tunnel. It runs nothing else.

mod option_file;
mod program;
mod told;

pub use option_file::OptionFile;
pub use program::Program;
pub use told::Told;
