//! The control client. See [`pen::penctl`].

fn main() -> std::process::ExitCode {
    let words = std::env::args_os().skip(1);
    let words: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
    pen::penctl::main(&words)
}
