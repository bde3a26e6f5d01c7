//! The `certsift` command; everything is in the library.

fn main() -> std::process::ExitCode {
    certsift::cli::main().into()
}
