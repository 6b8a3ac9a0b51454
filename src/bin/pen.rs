//! The load balancer. See [`pen::daemon`].

fn main() -> std::process::ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    pen::daemon::main(&words)
}
