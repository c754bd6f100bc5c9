//! `mmf`: see [`massmediafactory::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    massmediafactory::cli::main()
}
