//! penlogd's command line. Parsing and the usage text come from one table of
//! options.

use crate::getopt::{self, Invocation, Spec};
use crate::sys::addr::{self, Endpoint};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How many requests of pens penlogd remembers without `-n`.
const REQUESTS: usize = 1000;

/// The addresses to listen on.
#[derive(Debug, PartialEq, Eq)]
pub enum Listen {
    /// Listen on this port of all addresses, IPv4 and IPv6.
    Everywhere(u16),
    /// Listen on these addresses of one host; there is at least one.
    At(Vec<SocketAddr>),
}

/// What the command line sets.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Where datagrams are received.
    pub listen: Listen,
    /// penlogd stays in the foreground (`-f`).
    pub(crate) foreground: bool,
    /// How often `-d` was given: 1 names lines that found no client or were
    /// malformed.
    pub(crate) debug: u32,
    /// The directory to chroot to.
    pub(crate) jail: Option<PathBuf>,
    /// The log file; without one, lines go to standard output.
    pub(crate) log: Option<PathBuf>,
    /// How many requests of pens penlogd remembers, at least 1.
    pub(crate) requests: usize,
    /// The file that gets the process number.
    pub(crate) pid_file: Option<PathBuf>,
    /// The name or number of the user to run as.
    pub(crate) user: Option<String>,
}

/// All options, in the order of the usage text.
pub const TABLE: &[Spec<()>] = &[
    Spec::letter("b", "", "ignored: every line is written at once", ()),
    Spec::letter("d", "", "report lines that find no client or are malformed", ()),
    Spec::letter("f", "", "stay in the foreground", ()),
    Spec::letter("j", "dir", "chroot to this directory", ()),
    Spec::letter("l", "file", "append the lines to this file [standard output]", ()),
    Spec::letter("n", "number", "remember this many requests of pens [1000]", ()),
    Spec::letter("p", "file", "write the process number to this file", ()),
    Spec::letter("u", "user", "run as this user, by name or number", ()),
    Spec::long("help", "", "show this text", ()),
    Spec::long("version", "", "show the version", ()),
];

const VERSION: &str = concat!("penlogd ", env!("CARGO_PKG_VERSION"), "\n");

fn usage() -> String {
    let mut text = String::from("usage: penlogd [options] [host:]port\n\n");
    text.push_str(&getopt::list(TABLE));
    text.push_str(
        "\nexample: penlogd -l access.log 10000\n\
         on the web servers: CustomLog \"|/usr/local/bin/penlog loghost 10000\" combined\n\
         and pen: pen -l loghost:10000 80 web1 web2\n",
    );
    text
}

/// Reads the command line without opening anything; host names are resolved. An
/// error names the word that is wrong.
pub fn read(words: &[OsString]) -> Result<Invocation<Options>, String> {
    let given = match getopt::read("penlogd", VERSION, TABLE, words, usage)? {
        Invocation::Print(text) => return Ok(Invocation::Print(text)),
        Invocation::Run(given) => given,
    };
    let requests = given.number("n", 1, "a number of at least 1")?;
    let listen = match given.operands.as_slice() {
        [_, word, ..] => return Err(format!("{word}: expected one port, not two")),
        [word] => listen(word)?,
        // This is no failure.
        [] => return Ok(Invocation::Print(usage())),
    };
    Ok(Invocation::Run(Options {
        listen,
        foreground: given.count("f") > 0,
        debug: u32::try_from(given.count("d")).unwrap_or(u32::MAX),
        jail: given.value("j").map(PathBuf::from),
        log: given.value("l").map(PathBuf::from),
        requests: requests.unwrap_or(REQUESTS),
        pid_file: given.value("p").map(PathBuf::from),
        user: given.value("u").cloned(),
    }))
}

/// Reads the operand. A port without a host stands for all addresses, IPv4 and IPv6.
fn listen(word: &str) -> Result<Listen, String> {
    let endpoint = addr::endpoint(word)?;
    match (endpoint.port(), endpoint) {
        (Some(port), Endpoint::Inet(all)) => Ok(match word.contains(':') {
            true => Listen::At(all),
            false => Listen::Everywhere(port),
        }),
        (None, Endpoint::Inet(_)) => Err(format!("{word}: expected a port from 1 to 65535")),
        (_, Endpoint::Unix(_)) => Err(format!("{word}: expected [host:]port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Result<Invocation<Options>, String> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        read(&words)
    }

    #[test]
    fn everything_is_read() {
        let Ok(Invocation::Run(options)) =
            task("-fd -b 10000 -d -j/jail -l log -n 5 -n7 -p pid -u www")
        else {
            panic!("does not run");
        };
        let want = Options {
            listen: Listen::Everywhere(10000),
            foreground: true,
            debug: 2,
            jail: Some("/jail".into()),
            log: Some("log".into()),
            requests: 7,
            pid_file: Some("pid".into()),
            user: Some("www".to_owned()),
        };
        assert_eq!(options, want);
    }

    #[test]
    fn where_to_listen() {
        let at = |text: &str| Ok(Listen::At(vec![text.parse().unwrap()]));
        assert_eq!(listen("127.0.0.1:10000"), at("127.0.0.1:10000"));
        assert_eq!(listen(":::10000"), at("[::]:10000"));
        assert_eq!(listen(":10000"), at("0.0.0.0:10000"));
        assert_eq!(listen("10000"), Ok(Listen::Everywhere(10000)));
    }

    #[test]
    fn bad_words_are_named() {
        for (line, parts) in [
            ("-n 0 10000", ["-n 0", "at least 1"]),
            ("-n abc 10000", ["-n abc", "at least 1"]),
            ("-n abc", ["-n abc", "at least 1"]),
            ("-x 10000", ["-x", "penlogd --help"]),
            ("10000 -l", ["-l", "value missing"]),
            ("0", ["0:", "1 to 65535"]),
            ("127.0.0.1:0", ["127.0.0.1:0", "1 to 65535"]),
            ("70000", ["70000", "out of range"]),
            ("/run/log", ["/run/log", "[host:]port"]),
            ("10000 10001", ["10001", "one port"]),
        ] {
            let Err(why) = task(line) else {
                panic!("{line}: accepted");
            };
            for part in parts {
                assert!(why.contains(part), "{line}: {why}");
            }
        }
    }

    #[test]
    fn texts() {
        for (line, part) in
            [("", "usage: penlogd"), ("--help", "--version"), ("--version", "penlogd ")]
        {
            match task(line) {
                Ok(Invocation::Print(text)) => assert!(text.contains(part), "{text}"),
                _ => panic!("{line}"),
            }
        }
        assert!(usage().contains(&format!("[{REQUESTS}]")));
    }
}
