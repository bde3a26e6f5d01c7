//! certsift, a stage of a log pipeline.

pub mod decode;
pub mod history;
pub mod knowledge;
pub mod model;
