//! certsift, a stage of a log pipeline.

pub mod model;
pub mod source;
