//! Machinery.
