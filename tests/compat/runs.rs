//! Running the suite, and what is to be learnt from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};

/// How many tests run at a time. Most of them wait most of the time.
const AT_A_TIME: &str = "6";

/// With more that fail, there is no use in trying again.
const MOST_AGAIN: usize = 10;

/// What a test has noted about a case; see the suite's `stand::verdict`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    /// Compared side by side.
    Same,
    /// Ours is better, by this row. Whether it has seen the other do worse.
    Better { what: String, shown: bool },
    /// Cannot be tried here, and why.
    Skipped(String),
}

/// A run of the suite on one of the programs.
#[derive(Default)]
pub(crate) struct Run {
    /// All tests, and whether they pass.
    pub(crate) tests: BTreeMap<String, bool>,
    /// Cases and what was noted about them.
    pub(crate) notes: BTreeMap<String, BTreeSet<Note>>,
    /// Tests that have run the program.
    pub(crate) running: BTreeSet<String>,
    /// Tests that compare nothing.
    pub(crate) asides: BTreeSet<String>,
    /// What the failed tests said.
    pub(crate) failures: String,
}

impl Run {
    /// Runs the suite on the programs in this directory, or on ours. What fails
    /// is tried once more without the others beside it: a difference is there
    /// on an idle machine, too.
    pub(crate) fn of(dir: Option<&str>) -> Result<Run, String> {
        let mut run = Run::once(dir, &[])?;
        let failed = run.tests.iter().filter(|(_, passes)| !**passes);
        let failed: Vec<String> = failed.map(|(name, _)| name.clone()).collect();
        if (1..=MOST_AGAIN).contains(&failed.len()) {
            eprintln!("once more: {}", failed.join(", "));
            let again = Run::once(dir, &failed)?;
            run.tests.extend(again.tests);
            run.running.extend(again.running);
            run.asides.extend(again.asides);
            for (case, notes) in again.notes {
                run.notes.entry(case).or_default().extend(notes);
            }
            run.failures = again.failures;
        }
        Ok(run)
    }

    /// All tests, or these.
    fn once(dir: Option<&str>, tests: &[String]) -> Result<Run, String> {
        let name = format!("pen-compat-{}", std::process::id());
        let notes = std::env::temp_dir().join(name);
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.args(["test", "--locked", "--test", "suite", "--"]);
        command.args(match tests {
            [] => ["--test-threads", AT_A_TIME],
            // Not 1: then they would not have threads with their names.
            _ => ["--exact", "--test-threads=2"],
        });
        command.args(tests);
        command.env("PEN_COMPAT_NOTES", &notes);
        command.stdin(Stdio::null());
        match dir {
            Some(dir) => command.env("PEN_BIN_DIR", dir),
            None => command.env_remove("PEN_BIN_DIR"),
        };
        let output = command.output().map_err(|e| format!("cargo: {e}"))?;
        let text = fs::read_to_string(&notes).unwrap_or_default();
        let _ = fs::remove_file(&notes);
        let mut run = Run::default();
        run.read_output(&String::from_utf8_lossy(&output.stdout));
        run.read_notes(&text)?;
        if run.tests.is_empty() {
            // Otherwise that are the tests' remarks, which the table has too.
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            return Err(format!("the suite has not run, {}", output.status));
        }
        if !output.status.success() && run.tests.values().all(|passes| *passes) {
            return Err(format!("the suite has ended with {}", output.status));
        }
        Ok(run)
    }

    /// Reads what libtest prints: `test NAME ... ok`, and behind `failures:`
    /// what the failed ones said.
    fn read_output(&mut self, text: &str) {
        for line in text.lines() {
            let test = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "));
            if let Some((name, result)) = test {
                self.tests.insert(name.to_owned(), result == "ok");
            }
        }
        if let Some((_, failures)) = text.split_once("\nfailures:\n") {
            self.failures = failures.to_owned();
        }
    }

    fn read_notes(&mut self, text: &str) -> Result<(), String> {
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            let better = |what: &str, shown| Note::Better { what: what.to_owned(), shown };
            let (case, note) = match words[..] {
                ["runs", test] => {
                    self.running.insert(test.to_owned());
                    continue;
                }
                ["aside", test, _] => {
                    self.asides.insert(test.to_owned());
                    continue;
                }
                ["same", case] => (case, Note::Same),
                ["better", case, what] => (case, better(what, false)),
                ["shown", case, what] => (case, better(what, true)),
                ["skipped", case, why] => (case, Note::Skipped(why.to_owned())),
                _ => return Err(format!("what note is this? {line}")),
            };
            let notes = self.notes.entry(case.to_owned()).or_default();
            notes.insert(note);
        }
        Ok(())
    }
}
