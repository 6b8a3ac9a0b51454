//! What is fuzzed: a function for each target, which panics when something is
//! wrong with what became of its input. `make fuzz` calls them with inputs that
//! libFuzzer makes up, `make test` with those of `corpus`.

#![allow(unreachable_pub)] // for the targets this is a library

pub mod config;
pub mod control;
pub mod harmless;
pub mod http;
pub mod mergelogs;
pub mod operands;
pub mod options;
pub mod penlogd;
pub mod proxy_protocol;
pub mod web;
pub mod web_log;

/// The inputs of a corpus: a line each, in which what is not plain stands as in
/// a Rust string.
pub fn inputs(corpus: &str) -> Vec<Vec<u8>> {
    corpus.lines().map(unescaped).collect()
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = line.bytes();
    let mut input = Vec::new();
    while let Some(byte) = bytes.next() {
        input.push(match byte {
            b'\\' => match bytes.next().unwrap() {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let mut digit = || char::from(bytes.next().unwrap()).to_digit(16).unwrap();
                    (digit() * 16 + digit()) as u8
                }
                quoted => quoted,
            },
            byte => byte,
        });
    }
    input
}
