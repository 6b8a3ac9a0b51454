//! The manual pages and the program know the same options and commands.

use crate::stand::aside;
use std::collections::BTreeSet;

/// The items of one manual page, or of one of its sections.
fn items(page: &str, section: Option<&str>) -> Vec<String> {
    aside("about the manual pages");
    let path = format!("{}/{page}", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(&path).expect(&path);
    let mut here = "";
    let mut items = Vec::new();
    for line in page.lines() {
        here = line.strip_prefix(".Sh ").unwrap_or(here);
        if let Some(item) = line.strip_prefix(".It ") {
            if section.is_none_or(|section| section == here) {
                items.push(item.to_owned());
            }
        }
    }
    items
}

fn options() -> Vec<String> {
    items("pen.1", None)
}

fn commands() -> Vec<String> {
    items("src/man/pen.conf.5", Some("CONTROL COMMANDS"))
}

/// The words that stand behind a macro in a line; `no` takes one more.
fn behind(name: &str, item: &str) -> Vec<String> {
    let words: Vec<&str> = item.split_whitespace().collect();
    let places = words.windows(2).enumerate();
    places
        .filter(|(_, pair)| pair[0] == name)
        .map(|(at, pair)| match (pair[1], words.get(at + 2)) {
            ("no", Some(next)) => format!("no {next}"),
            (word, _) => word.to_owned(),
        })
        .collect()
}

#[test]
fn the_page_has_the_options_of_the_table() {
    let in_page: BTreeSet<String> = options().iter().flat_map(|item| behind("Fl", item)).collect();
    let in_table: BTreeSet<String> = pen::options::TABLE
        .iter()
        .map(|spec| match spec.short {
            "" => format!("-{}", spec.long),
            short => short.to_owned(),
        })
        .collect();
    assert_eq!(in_page, in_table, "options: page, table");
}

#[test]
fn the_page_says_which_options_have_a_value() {
    let items = options();
    for spec in pen::options::TABLE.iter().filter(|spec| !spec.short.is_empty()) {
        let wanted = format!("Fl {}", spec.short);
        let has_value = items.iter().any(|item| {
            let rest = item.split(&wanted).nth(1).unwrap_or_default();
            rest.trim_start().starts_with("Ar ")
        });
        assert_eq!(has_value, !spec.value.is_empty(), "-{}", spec.short);
    }
}

#[test]
fn the_page_has_the_commands_of_the_table() {
    let in_page: BTreeSet<String> = commands().iter().flat_map(|item| behind("Ic", item)).collect();
    let mut in_table = BTreeSet::new();
    for spec in pen::control::table::TABLE {
        in_table.insert(spec.name.to_owned());
        if spec.has_no() {
            in_table.insert(format!("no {}", spec.name));
        }
    }
    assert_eq!(in_page, in_table, "commands: page, table");
}
