//! Wire protocols as pure codecs, a folder for each. This crate opens no socket, reads no clock and decides about nobody's
//! access; it borrows bytes, and what it can't read is an error, never an empty value.
//!
//! `Debug` and errors never show statements, values, messages or passwords.

pub mod mysql;
