//! Ways to write an address that other programs have and pen does not, and what
//! to write instead. Pure.

use super::is_path;
use std::net::Ipv6Addr;

/// What an address is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To listen there, or to find one who does.
    Listen,
    /// A server operand.
    Server,
    /// The host of a server, whose port has a word of its own.
    Host,
}

/// A habit: what to write instead of a word, if the word has it.
type Habit = fn(&str, Role) -> Option<String>;

/// All of them. The first that a word has counts.
const HABITS: &[Habit] = &[
    // http://host/
    |word, _| {
        let (scheme, rest) = word.split_once("://")?;
        let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let host = rest.split('/').next().filter(|host| is_scheme && !host.is_empty())?;
        Some(match (host.contains(':'), scheme) {
            (true, _) => format!("write {host}"),
            (false, "https") => format!("write {host}:443"),
            (false, _) => format!("write {host}:80"),
        })
    },
    // host:80/
    |word, _| {
        let (place, _) = word.split_once('/')?;
        let (host, port) = place.rsplit_once(':')?;
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        (is_port && !host.is_empty()).then(|| format!("write {place}, without a path"))
    },
    // host/
    |word, _| {
        let host = word.strip_suffix('/').filter(|host| !host.is_empty() && !is_path(host))?;
        Some(format!("write {host}, without the slash"))
    },
    // a:1,b:2
    |word, _| {
        let list = word.contains(',') && !is_path(word);
        list.then(|| format!("write each as a word of its own: {}", word.replace(',', " ")))
    },
    // 80,/run/pen
    |word, role| {
        let (ports, path) = word.split_once(',').filter(|_| role == Role::Listen)?;
        let is_port = |byte: u8| byte.is_ascii_digit() || b".:-[]".contains(&byte);
        let is_list = is_path(path) && !ports.is_empty() && ports.bytes().all(is_port);
        is_list.then(|| "a Unix socket cannot be one of several".to_owned())
    },
    // *:80
    |word, role| match (word.strip_prefix("*:"), role) {
        (Some(port), Role::Listen) => {
            Some(format!("write {port} for all IPv4 addresses, :::{port} for IPv6 as well"))
        }
        _ => None,
    },
    // ::1:80 and fd00::1
    |word, role| {
        let is_v6 = |word: &str| word.parse::<Ipv6Addr>().is_ok();
        let split = word.rsplit_once(':').filter(|(host, _)| is_v6(host));
        match (split, role) {
            (Some((host, port)), Role::Server) => Some(format!("write [{host}]:{port}")),
            (None, Role::Server) if is_v6(word) => Some(format!("write [{word}] or [{word}]:port")),
            (None, Role::Listen) if is_v6(word) => Some(format!("write [{word}]:port")),
            _ => None,
        }
    },
    // server 0 address host:80
    |word, role| {
        let is_host = role == Role::Host && !is_path(word);
        let (host, port) = word.split_once(':').filter(|_| is_host)?;
        (!port.contains(':')).then(|| format!("write address {host} port {port}"))
    },
];

/// What to write instead of a word that has one of these habits.
pub(super) fn remedy(word: &str, role: Role) -> Option<String> {
    HABITS.iter().find_map(|habit| habit(word, role))
}

/// Reads a word. If that fails, the complaint says what to write instead; so it
/// does for a path that nobody meant to be one.
pub(super) fn read<T>(
    word: &str,
    role: Role,
    read: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    match remedy(word, role) {
        Some(remedy) if is_path(word) => Err(format!("{word}: not an address; {remedy}")),
        Some(remedy) => read().map_err(|why| format!("{why}; {remedy}")),
        None => read(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_habit_has_a_remedy() {
        use Role::{Host, Listen, Server};
        for (role, word, part) in [
            (Server, "http://web1", "write web1:80"),
            (Server, "https://web1/x", "write web1:443"),
            (Listen, "http://web1:8080/", "write web1:8080"),
            (Server, "localhost:80/", "write localhost:80,"),
            (Server, "[::1]:80/x", "write [::1]:80,"),
            (Server, "web1/", "write web1,"),
            (Server, "a:1,b:2", "own: a:1 b:2"),
            (Listen, "*:80", "write 80 for"),
            (Server, "::1:80", "write [::1]:80"),
            (Server, "fd00::1:80", "write [fd00::1]:80"),
            (Server, "fd00::1", "write [fd00::1] or"),
            (Listen, "2001:db8:1:2:3:4:5:6", "write [2001:db8:1:2:3:4:5:6]:port"),
            (Host, "10.0.0.1:80", "write address 10.0.0.1 port 80"),
        ] {
            let remedy = remedy(word, role).unwrap_or_else(|| panic!("{word}"));
            assert!(remedy.contains(part), "{word}: {remedy}");
        }
        for (role, word) in [
            (Listen, "80"),
            (Listen, ":::80"),
            (Listen, "::1:2222"),
            (Server, "web1:80:1:2:3:4"),
            (Server, "[::1]:80"),
            (Server, "/tmp/a:0:4"),
            (Server, "/tmp/a,b"),
            (Server, "run/pen"),
            (Server, "./a:1/b"),
            (Listen, "/"),
            (Host, "::1"),
            (Host, "/a:80"),
        ] {
            assert_eq!(remedy(word, role), None, "{word}");
        }
    }
}
