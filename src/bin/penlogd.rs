//! The log collector. See [`pen::logs::penlogd`].

fn main() -> std::process::ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    pen::logs::penlogd::main(&words)
}
