//! Warns of command lines that pen accepts but that are probably mistakes. Both the
//! start and `--check` print the warnings.

use super::TABLE;
use crate::getopt;
use crate::pool::health::State;
use crate::proxy::shared::Pen;
use std::ffi::OsString;
use std::time::Instant;

/// Returns the warnings about a pen and the command line from which it was made.
pub fn warnings(pen: &Pen, words: &[OsString]) -> Vec<String> {
    let (options, operands) = getopt::split("pen", TABLE, words).unwrap_or_default();
    let mut warnings = Vec::new();
    let servers = operands.get(1..).unwrap_or_default();
    for word in servers.iter().filter(|word| is_number(word) && *word != "0") {
        warnings.push(format!(
            "{word}: this server has no host; write host:{word}. The first operand is where \
             pen listens"
        ));
    }
    if !has_server(pen) {
        let listen = operands.first().map_or("", String::as_str);
        // An option may have taken the port for its value.
        let eaten = options.iter().find(|(_, value)| {
            let mut pairs = words.windows(2);
            is_number(value) && pairs.any(|pair| *pair == [value.as_str(), listen])
        });
        warnings.push(match eaten {
            Some((spec, value)) if listen.contains(':') => format!(
                "no servers: pen listens on {listen}, as {} takes {value} for its value",
                spec.name()
            ),
            _ => "no servers: clients are turned away until one is added".to_owned(),
        });
    }
    warnings
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether clients can be served, by a server or by `dummy`.
fn has_server(pen: &Pen) -> bool {
    if pen.settings().dummy {
        return true;
    }
    let now = Instant::now();
    let table = pen.servers.table();
    let mut regular = table.servers.iter();
    regular.any(|server| server.state(now) != State::Empty) || table.emergency.is_some()
}
