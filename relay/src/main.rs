//! The binary `anatomic`: reads the command line and hands over to the library.
//!
//! Everything it can do lives in `anatomic_relay`, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    anatomic_relay::cli::main()
}
