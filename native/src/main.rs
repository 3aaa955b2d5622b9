//! The `tollgate` program.

use std::process::ExitCode;

// Requests allocate and free small pieces at a high rate; the system's allocator takes longer for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tollgate_native::cli::main()
}
