//! Puts pen's clients into web servers' logs. See [`pen::logs::mergelogs`].

fn main() -> std::process::ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    pen::logs::mergelogs::main(&words)
}
