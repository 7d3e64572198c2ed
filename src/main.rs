//! Parses the command line, runs it, and turns the outcome into an exit status.

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    refloop::cli::run()
}
