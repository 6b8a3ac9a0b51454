//! The inputs that fuzzing has found interesting, as ordinary tests: each goes
//! to the function that `make fuzz` gives its inputs to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod checks;

use std::fs;
use std::path::Path;

/// Gives each input of a corpus to `check`. Fails with those where something
/// was wrong.
fn run(target: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let inputs = checks::inputs(&fs::read_to_string(dir.join(target)).unwrap());
    assert!(inputs.len() >= 20, "only {} inputs", inputs.len());
    let is_wrong = |input: &&Vec<u8>| std::panic::catch_unwind(|| check(input)).is_err();
    let wrong = inputs.iter().filter(is_wrong);
    let wrong: Vec<String> = wrong.map(|input| input.escape_ascii().to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                run(stringify!($target), checks::$target::check);
            }
        )*
    };
}

targets! { config control http mergelogs operands options penlogd proxy_protocol web }
