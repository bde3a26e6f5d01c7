//! How the process ends.

/// The exit codes, which scripts rely on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitCode {
    /// Everything was done.
    Success = 0,
    /// It could not be done.
    Failure = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// It was done, but for inputs that could not be read, or records that a server rejected.
    Incomplete = 3,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
