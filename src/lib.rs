//! certsift, a stage of a log pipeline.

pub mod knowledge;
pub mod model;
