//! Parses the command line, runs it, and turns the outcome into an exit status.

/// What one thread makes and another drops is the rule here; and memory that is free again goes back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    refloop::cli::run()
}
