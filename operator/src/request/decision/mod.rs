//! Whether a request is granted. Pure: objects in, a verdict out.

pub mod expression;
mod names;
pub mod offer;
pub mod quorum;
pub mod rules;
pub mod summary;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
