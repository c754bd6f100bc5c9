//! `mmf`: see [`massmediafactory::cli`].

use std::alloc::System;
use std::process::ExitCode;

use alloc_metrics::MetricAlloc;

/// Counts what each thread takes, which is how scripts are held to a limit of memory.
#[global_allocator]
static MEMORY: MetricAlloc<System> = MetricAlloc::new(System);

fn main() -> ExitCode {
    massmediafactory::cli::main()
}
