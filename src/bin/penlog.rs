//! The log sender for web servers. See [`pen::logs::penlog`].

fn main() -> std::process::ExitCode {
    let words = std::env::args_os().skip(1);
    let words: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
    pen::logs::penlog::main(&words)
}
