//! What may be carried out here: nothing that looks a name up, which would go
//! to the network, reads or writes a file (but for the names of some services),
//! or fills the memory.

use pen::control::parse::{self, Change, Command};
use pen::control::row::Value;
use pen::sys::addr;
use std::net::IpAddr;

/// A host of a server that has no name.
pub fn host(word: &str) -> bool {
    let inner = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
    addr::is_path(word) || is_number(inner.unwrap_or(word))
}

fn is_number(host: &str) -> bool {
    let is_ip = |text: &str| text.parse::<IpAddr>().is_ok();
    match host.split_once('%') {
        Some((address, scope)) => address.contains(':') && is_ip(address) && scope == "1",
        None => host == "0" || is_ip(host),
    }
}

/// A port that is a number or one of few names.
fn port(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit()) || matches!(word, "smtp" | "x" | "-1")
}

/// A server operand.
pub fn server(word: &str) -> bool {
    let parts = match word.strip_prefix('[') {
        Some(rest) => rest.split_once(']'),
        None => Some(word.split_at(word.find(':').unwrap_or(word.len()))),
    };
    parts.is_none_or(|(address, tail)| {
        let port_word = tail.split(':').nth(1).unwrap_or_default();
        (address.is_empty() || host(address)) && port(port_word)
    })
}

/// A listen operand.
pub fn listen(word: &str) -> bool {
    let (address, port_word) = word.rsplit_once(':').unwrap_or(("", word));
    let is_harmless = matches!(address, "" | "[]") || host(address);
    addr::is_path(word) || is_harmless && port(port_word)
}

/// A control line. Of the commands that do something outside, those are
/// harmless that do it in a running pen alone.
pub fn line(text: &str) -> bool {
    let Ok(Some(parsed)) = parse::parse(text) else {
        return true;
    };
    match &parsed.command {
        Command::Include(_) | Command::Write(_) | Command::Status => false,
        Command::Abuse(Some(word)) | Command::Emergency(Some(word)) => server(word),
        Command::Try(text) => line(text),
        Command::Set(spec, value) => match (spec.name, value) {
            // It is the whole process' own.
            ("debug", value) => *value == Value::Number(0),
            ("listen" | "web", Value::Text(Some(word))) => listen(word),
            ("web_password", Value::Text(file)) => file.is_none(),
            _ => true,
        },
        Command::Server(index, changes) => {
            *index < 20
                && changes.iter().all(|change| match change {
                    Change::Address(word) => host(word),
                    Change::Port(word) => port(word),
                    _ => true,
                })
        }
        _ => true,
    }
}
