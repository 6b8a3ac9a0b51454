//! The load balancer. See [`pen::start`].

fn main() -> std::process::ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    pen::start::main(&words)
}
