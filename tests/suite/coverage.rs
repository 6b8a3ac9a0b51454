//! What must have a case, and which it has: every option, every command, every
//! signal, every file format, the command lines that are in use, and what goes
//! wrong in the C program. A case is a test, or `transcript::replies: LINE`.

mod program;
mod world;

use crate::stand::aside;
use crate::transcript::LINES;
use program::{COMMANDS, FORMATS, OPTIONS, SIGNALS};
use std::collections::BTreeSet;
use std::process::Command;
use world::{FAULTS, WILD};

/// What it is, and its cases.
type Row = (&'static str, &'static [&'static str]);

/// The names of all tests of this program.
fn tests() -> BTreeSet<String> {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).arg("--list").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

#[test]
fn every_case_that_is_named_exists() {
    aside("about the tests themselves");
    let tests = tests();
    assert!(tests.contains("coverage::every_case_that_is_named_exists"));
    let tables = [OPTIONS, COMMANDS, SIGNALS, FORMATS, WILD, FAULTS];
    for (what, cases) in tables.concat() {
        assert!(!cases.is_empty(), "{what}");
        for case in cases {
            let exists = match case.strip_prefix("transcript::replies: ") {
                Some(line) => LINES.iter().any(|(known, _)| *known == line),
                None => tests.contains(*case),
            };
            assert!(exists, "{what}: no {case}");
        }
    }
}

#[test]
fn every_option_has_a_case() {
    aside("about the tests themselves");
    let here: BTreeSet<String> = OPTIONS.iter().map(|row| row.0.to_owned()).collect();
    let table = pen::options::TABLE.iter();
    let table: BTreeSet<String> = table.map(|spec| spec.name()).collect();
    assert_eq!(here, table);
}

/// In the transcript, both with `no` and without where there is both.
#[test]
fn every_command_has_a_case() {
    aside("about the tests themselves");
    let begins = |line: &str, words: &str| {
        let rest = line.strip_prefix(words);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    for spec in pen::control::parse::TABLE {
        let no = format!("no {}", spec.name);
        let forms = [spec.name, &no];
        let forms = if spec.has_no() { &forms[..] } else { &forms[..1] };
        for form in forms {
            let is_here = COMMANDS.iter().any(|row| row.0 == *form);
            let is_there = LINES.iter().any(|(line, _)| begins(line, form));
            assert!(is_here || is_there, "{form}");
        }
    }
    for (name, _) in COMMANDS {
        let mut table = pen::control::parse::TABLE.iter();
        assert!(table.any(|spec| spec.name == *name), "no command {name}");
    }
}
