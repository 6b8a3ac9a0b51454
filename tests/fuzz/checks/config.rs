//! Configuration files: one that pen has written reads back the same, each line
//! that is no command is complained about, by its number, and a file with such
//! a line changes nothing. That files include one another ends some time.
//!
//! An input is a file, or several with a line `%` between them, which are
//! included by their numbers.

use super::harmless;
use pen::control::commands;
use pen::control::config::{self, Reader};
use pen::control::parse;
use pen::control::transaction::Transaction;
use pen::proxy::shared::{Pen, Phase};
use pen::settings::Settings;
use pen::sys::addr::{Host, Share};
use std::io::ErrorKind;
use std::path::Path;

const NAME: &str = "pen.cfg";

/// Complaints that are told one by one.
const TOLD: usize = 100;

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.lines().any(|line| line == "%") {
        return check_files(&text);
    }
    let lines = text.lines().filter(|line| harmless::line(line));
    let text = lines.collect::<Vec<_>>().join("\n");
    let pen = new();
    match carry_out(&pen, &text) {
        Ok(()) => {
            let is_good = |line| parse::parse(line).is_ok();
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            assert!(text.lines().all(is_good), "{text}");
        }
        Err(complaints) => {
            complain(&text, &complaints);
            assert_eq!(commands(&pen), commands(&new()), "{text}");
        }
    }
    reads_back(&pen, &new());
}

fn check_files(text: &str) {
    let is_include = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), ["include", name] if name.parse::<u8>().is_ok())
    };
    let mut files = vec![String::new()];
    for line in text.lines().filter(|line| is_include(line) || harmless::line(line)) {
        match (line, files.last_mut()) {
            ("%", _) => files.push(String::new()),
            (line, Some(file)) => *file += &format!("{line}\n"),
            _ => {}
        }
    }
    let open = |path: &Path, most: u64| {
        let number = path.to_str().and_then(|name| name.parse::<usize>().ok());
        let file = number.and_then(|number| files.get(number));
        let file = file.filter(|file| file.len() as u64 <= most);
        file.map(|file| file.clone().into_bytes()).ok_or(ErrorKind::NotFound.into())
    };
    let pen = new();
    let mut transaction = Transaction::new(&pen);
    let mut add = |command, position: &str| transaction.add(command, position);
    let mut reader = Reader::new(&open, &[], &mut add);
    reader.read(Path::new("0"));
    match reader.finish() {
        Ok(_) => drop(transaction.commit()),
        Err(why) => {
            assert!(!why.is_empty() && why.lines().count() <= TOLD + 1, "{why}");
            drop(transaction);
            assert_eq!(commands(&pen), commands(&new()));
        }
    }
    reads_back(&pen, &new());
}

/// Each line that is no command is in the complaints, and in this order.
fn complain(text: &str, complaints: &[String]) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut left = complaints.iter().peekable();
    let is_short = complaints.len() <= TOLD;
    for (index, line) in text.lines().enumerate() {
        let place = format!("{NAME}, line {}: ", index + 1);
        let complaint = left.next_if(|complaint| complaint.starts_with(&place));
        let why = complaint.map(|complaint| &complaint[place.len()..]);
        match parse::parse(line) {
            Err(wanted) if is_short => assert_eq!(why, Some(wanted.as_str()), "{line}"),
            Ok(None) => assert_eq!(why, None, "{line}"),
            _ => {}
        }
    }
    assert_eq!(left.next().is_some(), !is_short, "{left:?}");
}

fn new() -> Pen {
    let pen = Pen::new().unwrap();
    pen.enter(Phase::Checking);
    pen
}

fn carry_out(pen: &Pen, text: &str) -> Result<(), Vec<String>> {
    let read =
        commands::carry_out(pen, &[], |reader| reader.lines(Path::new(NAME), text.as_bytes()));
    read.map(drop).map_err(|why| why.split('\n').map(str::to_owned).collect())
}

/// What `pen` writes, without the comments: the time is in them.
fn commands(pen: &Pen) -> Vec<String> {
    let text = config::text(pen, &pen.settings(), Path::new(NAME)).unwrap();
    text.lines().skip(2).map(str::to_owned).collect()
}

/// What `pen` writes makes `again` the same.
pub fn reads_back(pen: &Pen, again: &Pen) {
    let text = config::text(pen, &pen.settings(), Path::new(NAME)).unwrap();
    assert_eq!(carry_out(again, &text), Ok(()));
    assert_eq!(commands(pen), commands(again));
    let known = |pen: &Pen| Settings {
        start: Settings::default().start,
        listen: None,
        control: None,
        ..(*pen.settings()).clone()
    };
    assert_eq!(known(pen), known(again));
    assert_eq!(servers(pen), servers(again));
}

/// All that is set of each server.
fn servers(pen: &Pen) -> Vec<(Host, u16, Share, usize)> {
    let table = pen.servers.table();
    let all = table.servers.iter().chain(&table.emergency).chain(&table.abuse);
    let set = all.map(|server| ((*server.host).clone(), server.port, server.share, server.acl));
    set.collect()
}
