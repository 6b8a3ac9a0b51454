//! How a server is asked whether it works: by a program, by HTTP, by what it answers
//! to what it is sent, or by a connect, whichever of these is set first.

use super::Check;
use crate::proxy::connect;
use crate::proxy_protocol::SendProxy;
use crate::settings::Settings;
use crate::sys::addr::{self, Endpoint, Host};
use crate::sys::program::{self, Finished};
use crate::sys::{self, Kind, text};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a status line may be, and how much is read at once.
const MOST: usize = 512;

/// How much of a wrong answer the reason shows.
const SHOWN: usize = 40;

/// How long a UDP server may take to refuse a datagram, if it need not answer. The
/// refusal (ICMP) comes at once or not at all.
const REFUSAL: Duration = Duration::from_secs(1);

/// Why a check has not succeeded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server is at fault.
    Server(String),
    /// This host lacks what a connect takes, which says nothing of the server.
    Host(String),
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Failure {
        match connect::blames_server(&e) {
            true => Failure::Server(e.to_string()),
            false => Failure::Host(e.to_string()),
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Server(why)
    }
}

/// Checks a server.
pub(super) fn run(settings: &Settings, check: &Check) -> Result<(), Failure> {
    if let Some(path) = &settings.check_program {
        return ask_program(path, settings, check);
    }
    if let Some((path, good)) = settings.check_http.as_deref().and_then(http) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: pen/{}\r\nConnection: close\r\n\r\n",
            authority(check),
            env!("CARGO_PKG_VERSION"),
        );
        let judge = |answer: &[u8]| judge_status(answer, good);
        return ask(Kind::Stream, settings, check, request.as_bytes(), Some(&judge));
    }
    let bytes = |text: &Option<String>| text.as_deref().and_then(unescape);
    let send = bytes(&settings.check_send).unwrap_or_default();
    let kind = settings.start.kind;
    match bytes(&settings.check_expect) {
        Some(expected) => {
            let judge = |answer: &[u8]| judge_answer(answer, &expected);
            ask(kind, settings, check, &send, Some(&judge))
        }
        None => ask(kind, settings, check, &send, None),
    }
}

impl Check {
    /// The port that is checked.
    fn asked_port(&self) -> u16 {
        if self.check_port == 0 { self.port } else { self.check_port }
    }
}

/// The path and the good status of `check_http`; `None` if they are none.
pub(crate) fn http(text: &str) -> Option<(&str, Option<u16>)> {
    let (path, status) = match text.split_once(' ') {
        Some((path, status)) => (path, Some(status.parse().ok()?)),
        None => (text, None),
    };
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    let is_status = status.is_none_or(|status| (100..=999).contains(&status));
    (is_path && is_status).then_some((path, status))
}

/// The bytes that a text with escapes stands for; `None` if an escape means nothing.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let (mut rest, mut bytes) = (text.as_bytes(), Vec::new());
    while let Some((first, behind)) = rest.split_first() {
        let byte;
        (byte, rest) = match rest.strip_prefix(b"\\s") {
            Some(behind) => (b' ', behind),
            None if *first == b'\\' => text::unescape(rest)?,
            None => (*first, behind),
        };
        bytes.push(byte);
    }
    Some(bytes)
}

/// The server as a request names it.
fn authority(check: &Check) -> String {
    let host = match &*check.host {
        Host::Unix(_) => return "localhost".to_owned(),
        _ if !check.name.is_empty() => check.name.to_string(),
        host => host.to_string(),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    match check.asked_port() {
        80 => host,
        port => format!("{host}:{port}"),
    }
}

/// Judges what has come so far; `None` if it is too little for that.
type Judge<'a> = &'a dyn Fn(&[u8]) -> Option<Result<(), String>>;

/// Connects, sends `send` and has the answer judged. Without a judge, a connect is
/// enough for a stream; a datagram must not be refused.
fn ask(
    kind: Kind,
    settings: &Settings,
    check: &Check,
    send: &[u8],
    judge: Option<Judge>,
) -> Result<(), Failure> {
    let start = Instant::now();
    let host = &*check.host;
    // Each address may take this long, and the last one is what answers.
    let addresses = match host {
        Host::Inet(all) => u32::try_from(all.len()).unwrap_or(1),
        _ => 1,
    };
    let limit = match judge {
        None if kind == Kind::Datagram => settings.check_timeout.min(REFUSAL),
        _ => settings.check_timeout.saturating_mul(addresses),
    };
    // At another port there is another service.
    let port = check.asked_port();
    let header = if port == check.port { check.send_proxy } else { SendProxy::Off };
    let each = settings.check_timeout;
    let stream = connect::open_own(kind, host, port, settings, each, header, send)?;
    if judge.is_none() && kind == Kind::Stream {
        return Ok(());
    }
    let (mut answer, mut buffer) = (Vec::new(), [0; MOST]);
    loop {
        let left = limit.saturating_sub(start.elapsed());
        if !sys::wait_readable(&*stream, left)? {
            return match judge {
                Some(_) => Err(connect::late(settings.check_timeout).into()),
                None => Ok(()),
            };
        }
        let len = match sys::receive(&*stream, &mut buffer) {
            Ok(received) => received.len,
            Err(e) if e.kind() == ErrorKind::WouldBlock => continue,
            Err(e) => return Err(e.into()),
        };
        let Some(judge) = judge else {
            return Ok(());
        };
        answer.extend(buffer.iter().take(len));
        if let Some(result) = judge(&answer) {
            return Ok(result?);
        }
        if len == 0 || kind == Kind::Datagram {
            return Err(unexpected(&answer).into());
        }
    }
}

/// The reason of a wrong answer.
fn unexpected(answer: &[u8]) -> String {
    if answer.is_empty() {
        return "closed without an answer".to_owned();
    }
    let line = answer.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let shown: String =
        line.iter().take(SHOWN).map(|byte| char::from(text::dotted(*byte))).collect();
    format!("answered {shown}")
}

/// Judges the status line of an answer (RFC 9112, 4).
fn judge_status(answer: &[u8], good: Option<u16>) -> Option<Result<(), String>> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    if line.len() == answer.len() && answer.len() < MOST {
        return None;
    }
    let status = std::str::from_utf8(line).ok().and_then(|line| {
        let (version, rest) = line.strip_prefix("HTTP/")?.split_once(' ')?;
        let status = rest.split([' ', '\r']).next()?;
        let is_one = version.starts_with("1.") && status.len() == 3;
        status.parse().ok().filter(|_| is_one)
    });
    Some(match (status, good) {
        (None, _) => Err(unexpected(answer)),
        (Some(status), Some(good)) if status == good => Ok(()),
        (Some(200..=399), None) => Ok(()),
        (Some(status), _) => Err(format!("HTTP {status}")),
    })
}

/// Judges whether an answer begins as expected.
fn judge_answer(answer: &[u8], expected: &[u8]) -> Option<Result<(), String>> {
    if answer.starts_with(expected) {
        return Some(Ok(()));
    }
    (!expected.starts_with(answer)).then(|| Err(unexpected(answer)))
}

/// Has a program say whether one of the server's addresses works. It is called as
/// HAProxy calls one: with address and port of the proxy and of the server.
fn ask_program(path: &Path, settings: &Settings, check: &Check) -> Result<(), Failure> {
    let own = match &settings.own {
        Some(Endpoint::Inet(all)) => all.first().map(|addr| inet(addr, addr.port())),
        Some(Endpoint::Unix(path)) => Some(unix(path)),
        None => None,
    };
    let own = own.unwrap_or_else(|| [UNKNOWN; 2].map(str::to_owned));
    let run = |server: [String; 2]| {
        let words = [&own, &server].map(|[address, port]| [&**address, &**port]);
        let result = program::run(path, words.as_flattened(), settings.check_timeout);
        let Finished { status, line } = result.map_err(|e| {
            let why = format!("{}: {e}", path.display());
            match e.kind() {
                ErrorKind::TimedOut | ErrorKind::NotFound | ErrorKind::PermissionDenied => {
                    Failure::Server(why)
                }
                _ => Failure::Host(why),
            }
        })?;
        let colon = if line.is_empty() { "" } else { ": " };
        match status {
            Some(0) => Ok(()),
            Some(status) => Err(Failure::Server(format!("exit status {status}{colon}{line}"))),
            None => Err(Failure::Server(format!("killed{colon}{line}"))),
        }
    };
    if let Host::Unix(path) = &*check.host {
        return run(unix(path));
    }
    let none = Failure::Server("no address".to_owned());
    addr::first_of(check.host.addresses(), none, |at| run(inet(at, check.asked_port())))
}

/// What stands for an argument that there is not.
const UNKNOWN: &str = "NOT_USED";

fn inet(addr: &SocketAddr, port: u16) -> [String; 2] {
    [addr.ip().to_string(), port.to_string()]
}

fn unix(path: &Path) -> [String; 2] {
    [path.display().to_string(), UNKNOWN.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_escapes() {
        for (text, bytes) in [
            ("PING\\r\\n", Some(&b"PING\r\n"[..])),
            ("a\\sb\\tc\\\\s", Some(b"a b\tc\\s")),
            ("\\x00\\xFf", Some(b"\0\xff")),
            ("\\", None),
            ("\\x1", None),
            ("\\xg0", None),
            ("\\q", None),
        ] {
            assert_eq!(unescape(text).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn a_path_may_have_a_status() {
        assert_eq!(http("/"), Some(("/", None)));
        assert_eq!(http("/a?b 404"), Some(("/a?b", Some(404))));
        for text in ["", "a", "/ 20", "/ 2000", "/ x", "/\u{e9}", "/ "] {
            assert_eq!(http(text), None, "{text}");
        }
    }

    #[test]
    fn status_lines_are_judged() {
        let judge = |line: &str, good| judge_status(line.as_bytes(), good);
        let bad = |why: &str| Some(Err(why.to_owned()));
        for line in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 302\r\n", "HTTP/1.1 204 \nA: b"] {
            assert_eq!(judge(line, None), Some(Ok(())), "{line}");
        }
        assert_eq!(judge("HTTP/1.1 200 OK\r\n", Some(204)), bad("HTTP 200"));
        assert_eq!(judge("HTTP/1.1 404 Not Found\r\n", Some(404)), Some(Ok(())));
        assert_eq!(judge("HTTP/1.1 503 \r\n", None), bad("HTTP 503"));
        assert_eq!(judge("HTTP/1.1 100 \r\n", None), bad("HTTP 100"));
        assert_eq!(judge("HTTP/1.1 200 OK", None), None);
        assert_eq!(judge("SSH-2.0-\x1b\r\n", None), bad("answered SSH-2.0-."));
        assert_eq!(judge("HTTP/1.1 2000\n", None), bad("answered HTTP/1.1 2000"));
        assert_eq!(judge("HTTP/1.1\n", None), bad("answered HTTP/1.1"));
        assert_eq!(judge("\n", None), bad("answered "));
        let endless = "a".repeat(MOST);
        assert_eq!(judge(&endless, None), bad(&format!("answered {}", &endless[..SHOWN])));
        assert_eq!(judge(&endless[1..], None), None);
    }

    #[test]
    fn what_this_host_lacks_is_no_fault_of_the_server() {
        let of = |number| Failure::from(io::Error::from_raw_os_error(number));
        assert!(matches!(of(sys::EMFILE), Failure::Host(_)));
        assert!(matches!(io::Error::from(ErrorKind::ConnectionRefused).into(), Failure::Server(_)));
    }

    #[test]
    fn answers_are_judged_as_soon_as_they_can_be() {
        let judge = |answer: &[u8]| judge_answer(answer, b"+PONG");
        assert_eq!(judge(b"+PO"), None);
        assert_eq!(judge(b"+PONG\r\n"), Some(Ok(())));
        let refused = Some(Err("answered -NOAUTH".to_owned()));
        assert_eq!(judge(b"-NOAUTH\r\nmore"), refused);
        assert_eq!(unexpected(&[b'a'; 100]), format!("answered {}", "a".repeat(SHOWN)));
    }
}
