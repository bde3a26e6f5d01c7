//! stub
pub mod suffix;
