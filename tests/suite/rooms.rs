//! The rooms of the sources: each uses those before it in the list, and none
//! behind it.

use crate::stand::aside;
use std::fs;
use std::path::Path;

/// The rooms, the lowest first. Those in one row may use one another.
const ROOMS: &[&[&str]] = &[
    &["sys"],
    &["getopt"],
    &["proxy_protocol"],
    &["logs", "penctl"],
    &["pool"],
    &["settings"],
    &["http", "access"],
    &["proxy", "udp"],
    &["report"],
    &["control"],
    &["web"],
    &["options"],
    &["start"],
];

fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|row| row.contains(&room))
}

/// Calls `look` with each Rust file below a directory.
fn walk(dir: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, look);
        } else if path.extension().is_some_and(|end| end == "rs") {
            look(&path);
        }
    }
}

#[test]
fn no_room_uses_one_behind_it() {
    aside("about the sources");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut seen, mut faults) = (0, Vec::new());
    walk(&src, &mut |path| {
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        if ["bin", "lib"].contains(&room) {
            return;
        }
        let own = floor(room);
        let own = own.unwrap_or_else(|| panic!("{}: a room without a floor", path.display()));
        let text = fs::read_to_string(path).unwrap();
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim().starts_with("//"));
        for (number, line) in code {
            for part in line.split("crate::").skip(1) {
                let other = part.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                let other = floor(other.unwrap_or_default());
                seen += usize::from(other.is_some());
                if other > Some(own) {
                    faults.push(format!("{}:{}: {line}", inside.display(), number + 1));
                }
            }
        }
    });
    assert!(seen > 100, "{seen} uses are too few to be all");
    assert!(faults.is_empty(), "upwards:\n{}", faults.join("\n"));
}

/// Not only in `sys`: in one file of it.
#[test]
fn unsafe_code_is_in_one_file() {
    aside("about the sources");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut |path| {
        let text = fs::read_to_string(path).unwrap();
        let mut code = text.lines().filter(|line| !line.trim().starts_with("//"));
        if code.any(|line| line.contains("unsafe ")) {
            files.push(path.strip_prefix(&src).unwrap().to_owned());
        }
    });
    assert_eq!(files, [Path::new("sys/calls.rs")]);
}
