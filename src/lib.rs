//! certsift, a stage of a log pipeline.

pub mod correlate;
pub mod decode;
pub mod encode;
pub mod enrich;
pub mod history;
pub mod knowledge;
pub mod model;
pub mod source;
pub mod state;
