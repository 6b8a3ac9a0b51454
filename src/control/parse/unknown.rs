//! The two replies to a line that does not begin with a command: scripts look for
//! the one of the C program, and people read the other.

use super::{TABLE, find, name, words};

/// Returns the C program's reply to a line that does not begin with a command.
/// `None` means that it does.
pub fn ignored(line: &str) -> Option<String> {
    // pen must not send the words of a hostile page back to the browser.
    let (_, name, _) = name(&words(line))?;
    let is_known = name.starts_with("ssl_") || find(name).is_some();
    (!is_known).then(|| format!("do_cmd: ignoring command starting with '{name}'"))
}

/// Returns the complaint about a word that is no command, for files and `-O`.
pub(super) fn no_such(word: &str) -> String {
    // Only names with the same first letter are compared, so that a long file of
    // nonsense costs little.
    let alike = |name: &str| {
        let begins_alike = name.as_bytes().first() == word.as_bytes().first();
        begins_alike && word.len() < 32 && 3 * distance(word, name) <= word.len()
    };
    match TABLE.iter().find(|spec| alike(spec.name)) {
        Some(spec) => format!("{word}: no such command (did you mean {}?)", spec.name),
        None => format!("{word}: no such command (help lists them)"),
    }
}

/// Returns the Levenshtein distance, which is the number of letters to insert, remove
/// or change.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut before = index;
        let mut left = index + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let changed = before + usize::from(a != b);
            before = *cell;
            left = changed.min(before + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
