//! What can be understood and was hardly meant: said at the start and by
//! `--check`, and then it counts.

use super::TABLE;
use crate::getopt;
use crate::pool::server::State;
use crate::proxy::shared::Pen;
use std::ffi::OsString;
use std::time::Instant;

/// A line for each doubt about a pen and the words that it was made of.
pub fn doubts(pen: &Pen, words: &[OsString]) -> Vec<String> {
    let (options, operands) = getopt::split("pen", TABLE, words).unwrap_or_default();
    let mut doubts = Vec::new();
    let servers = operands.get(1..).unwrap_or_default();
    for word in servers.iter().filter(|word| is_number(word) && *word != "0") {
        doubts.push(format!(
            "{word}: this server has no host; write host:{word}. The first operand is where \
             pen listens"
        ));
    }
    if !has_server(pen) {
        let listen = operands.first().map_or("", String::as_str);
        // The value of an option in the place of the port.
        let eaten = options.iter().find(|(_, value)| {
            let mut pairs = words.windows(2);
            is_number(value) && pairs.any(|pair| *pair == [value.as_str(), listen])
        });
        doubts.push(match eaten {
            Some((spec, value)) if listen.contains(':') => format!(
                "no servers: pen listens on {listen}, as {} takes {value} for its value",
                spec.name()
            ),
            _ => "no servers: clients are turned away until one is added".to_owned(),
        });
    }
    doubts
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a client could get an answer.
fn has_server(pen: &Pen) -> bool {
    if pen.settings().dummy {
        return true;
    }
    let now = Instant::now();
    let table = pen.servers.table();
    let mut regular = table.servers.iter();
    regular.any(|server| server.state(now) != State::Empty) || table.emergency.is_some()
}
