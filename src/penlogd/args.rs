//! penlogd's command line: one table of options, from which parsing and the
//! usage text come.

use crate::addr::{self, Endpoint};
use crate::options;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Requests of pens that are kept unless told otherwise.
const REQUESTS: usize = 1000;

/// What the command line asks for.
pub enum Task {
    /// Print this and end well.
    Print(String),
    /// Run like this.
    Run(Plan),
}

/// Where to listen.
#[derive(Debug, PartialEq, Eq)]
pub enum Listen {
    /// Every address of this host.
    Everywhere(u16),
    /// These, never none.
    At(Vec<SocketAddr>),
}

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where to listen.
    pub listen: Listen,
    /// Do not go into the background.
    pub foreground: bool,
    /// How much to say.
    pub debug: u32,
    /// New root directory.
    pub jail: Option<PathBuf>,
    /// Where lines go; else to standard output.
    pub log: Option<PathBuf>,
    /// How many requests of pens to keep.
    pub requests: usize,
    /// Where the process number goes.
    pub pid_file: Option<PathBuf>,
    /// Whom to run as.
    pub user: Option<String>,
}

type Complaint = Result<(), String>;

/// What an option does.
pub enum Action {
    /// Changes the plan.
    Flag(fn(&mut Plan)),
    /// Changes the plan by its value, or says what is wrong with that.
    Value(fn(&mut Plan, &str) -> Complaint),
    /// Prints a text.
    Text(fn() -> String),
}

/// An option of the table.
pub type Spec = options::Spec<Action>;

/// All options, in the order of the usage text.
pub const TABLE: &[Spec] = &[
    Spec::letter(
        "b",
        "",
        "accepted, without effect: every line is written at once",
        Action::Flag(|_| {}),
    ),
    Spec::letter(
        "d",
        "",
        "say more; repeat for more still",
        Action::Flag(|plan| plan.debug = plan.debug.saturating_add(1)),
    ),
    Spec::letter("f", "", "stay in the foreground", Action::Flag(|plan| plan.foreground = true)),
    Spec::letter(
        "j",
        "dir",
        "run in this directory as root (chroot)",
        Action::Value(|plan, word| {
            plan.jail = Some(word.into());
            Ok(())
        }),
    ),
    Spec::letter(
        "l",
        "file",
        "append to this file [standard output]",
        Action::Value(|plan, word| {
            plan.log = Some(word.into());
            Ok(())
        }),
    ),
    Spec::letter(
        "n",
        "number",
        "requests of pens to keep [1000]",
        Action::Value(|plan, word| {
            plan.requests = match word.parse() {
                Ok(number) if number >= 1 => number,
                _ => return Err("expected a number of at least 1".to_owned()),
            };
            Ok(())
        }),
    ),
    Spec::letter(
        "p",
        "file",
        "write the process number to a file",
        Action::Value(|plan, word| {
            plan.pid_file = Some(word.into());
            Ok(())
        }),
    ),
    Spec::letter(
        "u",
        "user",
        "run as this user, by name or number",
        Action::Value(|plan, word| {
            plan.user = Some(word.to_owned());
            Ok(())
        }),
    ),
    Spec::long("help", "", "this text", Action::Text(usage)),
    Spec::long("version", "", "the version", Action::Text(version)),
];

fn version() -> String {
    format!("penlogd {}\n", env!("CARGO_PKG_VERSION"))
}

/// The usage text.
pub fn usage() -> String {
    let mut text = String::from("usage: penlogd [options] [host:]port\n\n");
    text.push_str(&options::list(TABLE));
    text.push_str(
        "\nexample: penlogd -l access.log 10000\n\
         on the web servers: CustomLog \"|/usr/local/bin/penlog loghost 10000\" combined\n\
         and pen: pen -l loghost:10000 80 web1 web2\n",
    );
    text
}

/// Reads the command line. Opens nothing.
pub fn read(words: &[OsString]) -> Result<Task, String> {
    let (given, operands) = options::split("penlogd", TABLE, words)?;
    let mut plan = Plan {
        listen: Listen::At(Vec::new()),
        foreground: false,
        debug: 0,
        jail: None,
        log: None,
        requests: REQUESTS,
        pid_file: None,
        user: None,
    };
    for (spec, word) in given {
        match spec.action {
            Action::Flag(action) => action(&mut plan),
            Action::Value(action) => {
                action(&mut plan, &word).map_err(|why| format!("{} {word}: {why}", spec.name()))?
            }
            Action::Text(text) => return Ok(Task::Print(text())),
        }
    }
    match operands.as_slice() {
        // pen quirk: not knowing how to call it is no failure.
        [] => return Ok(Task::Print(usage())),
        [word] => plan.listen = listen(word)?,
        [_, word, ..] => return Err(format!("{word}: expected one port, not two")),
    }
    Ok(Task::Run(plan))
}

/// A port alone means IPv4 and IPv6.
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

    fn task(line: &str) -> Result<Task, String> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        read(&words)
    }

    #[test]
    fn everything_is_read() {
        let Ok(Task::Run(plan)) = task("-fd -b 10000 -d -j/jail -l log -n 5 -n7 -p pid -u www")
        else {
            panic!("does not run");
        };
        let want = Plan {
            listen: Listen::Everywhere(10000),
            foreground: true,
            debug: 2,
            jail: Some("/jail".into()),
            log: Some("log".into()),
            requests: 7,
            pid_file: Some("pid".into()),
            user: Some("www".to_owned()),
        };
        assert_eq!(plan, want);
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
                Ok(Task::Print(text)) => assert!(text.contains(part), "{text}"),
                _ => panic!("{line}"),
            }
        }
        assert!(usage().contains(&format!("[{REQUESTS}]")));
    }
}
