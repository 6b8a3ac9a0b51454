//! Replies to lines that begin with no command: one that scripts know from the C
//! program, and one for people.

use super::{TABLE, find, name, words};

/// The reply of the C program to a line that begins with no command, which
/// scripts look for. `None` if the line begins with one.
pub fn ignored(line: &str) -> Option<String> {
    // A hostile page must not have its words sent back.
    let (_, name, _) = name(&words(line))?;
    let is_known = name.starts_with("ssl_") || find(name).is_some();
    (!is_known).then(|| format!("do_cmd: ignoring command starting with '{name}'"))
}

/// The complaint about a word that is no command, for files and `-O`.
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

/// The Levenshtein distance: the number of letters to insert, remove or change.
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
