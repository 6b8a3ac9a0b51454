//! Control lines: replies have no control characters, white space around words
//! means nothing, and a setting that was shown can be set to what it was.
//!
//! An input is some lines, which one pen gets.

use super::harmless;
use pen::control::commands;
use pen::control::parse;
use pen::proxy::shared::{Pen, Phase};

/// Settings that show themselves as they are set.
const SHOWN: &[&str] = &[
    "abuse",
    "blacklist",
    "client_acl",
    "clients_max",
    "conn_max",
    "control_acl",
    "debug",
    "emergency",
    "hash_type",
    "listen",
    "log",
    "timeout",
    "tracking",
    "udp_balance",
    "web_stats",
];

pub fn check(data: &[u8]) {
    let pen = Pen::new().unwrap();
    pen.enter(Phase::Checking);
    for line in data.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        if harmless::line(&line) {
            check_line(&pen, &line);
        }
    }
}

fn check_line(pen: &Pen, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let parsed = parse::parse(line);
    let plain = words.join(" ");
    assert_eq!(parse::parse(&plain), parsed);
    assert_eq!(parse::parse(&format!("\t {plain} \r")), parsed);
    let reply = commands::reply(pen, line);
    let is_bad = |c: char| c.is_control() && c != '\n';
    assert!(!reply.contains(is_bad), "{}", reply.escape_debug());
    assert!(!reply.contains("\n\n"), "{reply}");
    match parsed {
        Ok(None) => assert_eq!(reply, ""),
        Ok(Some(_)) => {}
        Err(why) => {
            let why = parse::ignored(line).unwrap_or(why);
            assert_eq!(reply, commands::complaint(&why));
        }
    }
    if let Some(name) = words.first().filter(|name| SHOWN.contains(name)) {
        let shown = commands::reply(pen, name);
        if let Some(value) = shown.strip_suffix('\n') {
            assert!(!value.is_empty() && !value.contains('\n'), "{shown}");
            let line = format!("{name} {value}");
            // What is not printable is shown otherwise.
            if !value.contains("\\x") && harmless::line(&line) {
                let result = commands::line(pen, &line);
                assert!(result.is_ok(), "{line}: {result:?}");
                assert_eq!(commands::reply(pen, name), shown);
            }
        }
    }
}
