//! Tests of the packets as a whole: sessions of real clients, and everything that we write read again.

mod real_sessions;
mod round_trips;
