//! Requests: observe, decide, apply.

pub mod decision;
pub mod grant_object;
pub mod plan;
