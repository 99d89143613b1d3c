//! Grants: observe, plan, apply.

pub mod observed;
pub mod plan;
