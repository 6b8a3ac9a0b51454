//! Configuration files: one that pen has written reads back the same, and each
//! line that is no command is complained about, by its number.
//!
//! An input is a file.

use super::harmless;
use pen::addr::Host;
use pen::command;
use pen::config;
use pen::settings::Settings;
use pen::state::{Pen, Phase};
use std::path::Path;

const NAME: &str = "pen.cfg";

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().filter(|line| harmless::line(line));
    let text = lines.collect::<Vec<_>>().join("\n");
    let pen = new();
    let (_, complaints) = config::carry_out(&pen, Path::new(NAME), &text);
    let mut left = complaints.iter().peekable();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{NAME}, line {}: ", index + 1);
        let complaint = left.next_if(|complaint| complaint.starts_with(&place));
        let why = complaint.map(|complaint| &complaint[place.len()..]);
        match command::parse(line) {
            Err(wanted) => assert_eq!(why, Some(wanted.as_str()), "{line}"),
            Ok(None) => assert_eq!(why, None, "{line}"),
            Ok(Some(_)) => {}
        }
    }
    assert_eq!(left.next(), None);
    let again = new();
    reads_back(&pen, &again);
}

fn new() -> Pen {
    let pen = Pen::new().unwrap();
    pen.enter(Phase::Checking);
    pen
}

/// What `pen` writes makes `again` the same.
pub fn reads_back(pen: &Pen, again: &Pen) {
    let text = config::text(pen, &pen.settings(), Path::new(NAME)).unwrap();
    let (_, complaints) = config::carry_out(again, Path::new(NAME), &text);
    assert!(complaints.is_empty(), "{complaints:?}");
    let text_again = config::text(again, &again.settings(), Path::new(NAME)).unwrap();
    // The first line has the time, the second what starts pen.
    let commands = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(commands(&text), commands(&text_again));
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
fn servers(pen: &Pen) -> Vec<(Host, u16, [u32; 3], i32, usize)> {
    let table = pen.servers.table();
    let all = table.servers.iter().chain(&table.emergency).chain(&table.abuse);
    let set = all.map(|server| {
        let numbers = [server.max, server.hard, server.weight];
        ((*server.host).clone(), server.port, numbers, server.prio, server.acl)
    });
    set.collect()
}
