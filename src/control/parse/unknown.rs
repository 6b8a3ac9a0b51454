//! Words that are no command: what scripts know as the reply, and what people
//! are told.

use super::TABLE;

/// The reply to a line whose first word is no command, which scripts know.
/// `None` if it is one.
pub fn ignored(line: &str) -> Option<String> {
    let words: Vec<_> = line.split_whitespace().take_while(|w| !w.starts_with('#')).collect();
    let name = match words.as_slice() {
        // Not for the pages of a hostile site.
        [] | [.., _] if words.last().is_none_or(|last| last.starts_with("HTTP/")) => return None,
        ["no", name, ..] | [name, ..] => *name,
        [] => return None,
    };
    let is_known = name.starts_with("ssl_") || TABLE.iter().any(|spec| spec.name == name);
    (!is_known).then(|| format!("do_cmd: ignoring command starting with '{name}'"))
}

/// The complaint about a word that is no command, for files and `-O`.
pub(super) fn no_such(word: &str) -> String {
    // Files of nonsense must not cost much: few names have the same first letter.
    let alike = |name: &str| {
        let begins_alike = word.len() < 32 && name.chars().next() == word.chars().next();
        begins_alike && 3 * distance(word, name) <= word.len()
    };
    match TABLE.iter().find(|spec| alike(spec.name)) {
        Some(spec) => format!("{word}: no such command (did you mean {}?)", spec.name),
        None => format!("{word}: no such command (help lists them)"),
    }
}

/// How many letters have to be put in, left out or changed to make one word of
/// the other (Levenshtein).
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
