//! The command line of mergelogs.

use super::input::STDIN;
use super::peer::Peer;
use getopts::{Fail, HasArg, Matches, Occur, Options as Parser, ParsingStyle};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Task {
    /// Print this and end well.
    Print(String),
    /// Merge.
    Merge(Options),
}

/// What to merge, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Pen's log.
    pub(super) pen_log: String,
    /// Seconds that an entry of pen's log may be away from a line; nothing: any
    /// number.
    pub(super) jitter: Option<i64>,
    /// Seconds to subtract from the times in pen's log.
    pub(super) shift: i64,
    /// How much to say.
    pub(super) debug: usize,
    /// The web servers' logs.
    pub(super) logs: Vec<Operand>,
}

/// `server:logfile`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) server: Peer,
    pub(super) file: String,
}

/// Seconds, unless `-j` says otherwise.
const JITTER: i64 = 600;

/// The options: letter or long name, value, what it does.
const TABLE: &[(&str, &str, &str)] = &[
    ("p", "penlog", "pen's log; - is standard input"),
    ("c", "", "search all of pen's log, however far away in time"),
    ("d", "", "say what happens; repeat for more"),
    (
        "j",
        "seconds",
        "search pen's log so far to either side of a line [600]",
    ),
    ("t", "seconds", "subtract this from the times in pen's log"),
    ("help", "", "this text"),
    ("version", "", "the version"),
];

/// The usage text.
fn usage() -> String {
    let mut text = String::from(
        "usage: mergelogs -p penlog [-cd] [-j seconds] [-t seconds] server:logfile ...\n\n",
    );
    for (name, value, help) in TABLE {
        let _ = writeln!(text, "  {:<13} {help}", format!("{} {value}", dashed(name)));
    }
    text.push_str(
        "  server        a web server's address, as in pen's log; IPv6 better as [address]\n  \
           logfile       its log, in the common or combined form; - is standard input\n",
    );
    text
}

fn dashed(name: &str) -> String {
    match name.chars().count() {
        1 => format!("-{name}"),
        _ => format!("--{name}"),
    }
}

fn parse(words: &[OsString]) -> Result<Matches, String> {
    if let Some(word) = words.iter().find(|word| word.to_str().is_none()) {
        return Err(format!("{}: is no UTF-8", word.to_string_lossy()));
    }
    let mut parser = Parser::new();
    parser.parsing_style(ParsingStyle::FloatingFrees);
    for (name, value, _) in TABLE {
        let (short, long) = match name.len() {
            1 => (*name, ""),
            _ => ("", *name),
        };
        let has_value = match *value {
            "" => HasArg::No,
            _ => HasArg::Yes,
        };
        parser.opt(short, long, "", "", has_value, Occur::Multi);
    }
    let matches = parser.parse(words).map_err(|fail| match fail {
        Fail::UnrecognizedOption(name) => format!("{}: no such option", dashed(&name)),
        Fail::ArgumentMissing(name) => format!("{}: value missing", dashed(&name)),
        Fail::UnexpectedArgument(name) => format!("{}: takes no value", dashed(&name)),
        other => other.to_string(),
    });
    matches.map_err(|why| format!("{why}; mergelogs --help lists the options"))
}

/// Reads the command line.
pub(super) fn read(words: &[OsString]) -> Result<Task, String> {
    let matches = parse(words)?;
    // The last one wins.
    let value = |name| matches.opt_strs(name).pop();
    let seconds = |name, least: i64| match value(name) {
        None => Ok(None),
        Some(word) => match word.parse() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(format!("-{name} {word}: expected a number of seconds")),
        },
    };
    if matches.opt_present("version") {
        let text = format!("mergelogs (pen) {}\n", env!("CARGO_PKG_VERSION"));
        return Ok(Task::Print(text));
    }
    let jitter = seconds("j", 0)?.unwrap_or(JITTER);
    let shift = seconds("t", i64::MIN)?.unwrap_or(0);
    // pen quirk: not knowing how to call it is no failure.
    if matches.opt_present("help") || matches.free.is_empty() {
        return Ok(Task::Print(usage()));
    }
    let Some(pen_log) = value("p") else {
        return Err("no pen log given, expected -p penlog".to_owned());
    };
    let logs = matches.free.iter().map(|word| operand(word));
    let logs: Vec<_> = logs.collect::<Result<_, _>>()?;
    let files = logs.iter().map(|log| &log.file).chain([&pen_log]);
    if files.filter(|file| *file == STDIN).count() > 1 {
        return Err("-: standard input can be read only once".to_owned());
    }
    Ok(Task::Merge(Options {
        pen_log,
        jitter: (!matches.opt_present("c")).then_some(jitter),
        shift,
        debug: matches.opt_count("d"),
        logs,
    }))
}

/// `server:logfile`. The first colon splits, but an IPv6 address stays whole:
/// it is in brackets, or as much of the word as reads as one.
fn operand(word: &str) -> Result<Operand, String> {
    let bracketed = word.strip_prefix('[').and_then(|w| w.split_once("]:"));
    let is_ip = |(server, _): &(&str, &str)| server.parse::<Ipv6Addr>().is_ok();
    let splits = word.match_indices(':').rev();
    let mut splits = splits.filter_map(|(at, _)| Some((word.get(..at)?, word.get(at + 1..)?)));
    let split = bracketed
        .or_else(|| splits.find(is_ip))
        .or_else(|| word.split_once(':'));
    match split {
        Some((server, file)) if !server.is_empty() && !file.is_empty() => Ok(Operand {
            server: Peer::new(server.as_bytes()),
            file: file.to_owned(),
        }),
        _ => Err(format!("{word}: expected server:logfile")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn merge(line: &str) -> Options {
        match read(&words(line)) {
            Ok(Task::Merge(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refused(line: &str) -> String {
        match read(&words(line)) {
            Err(why) => why,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn options_and_operands_mix() {
        let options = merge("10.0.0.1:a -dp x -d -j5 [::1]:b:c -p y -t -3600 h:-");
        let log = |server: &str, file: &str| Operand {
            server: Peer::new(server.as_bytes()),
            file: file.to_owned(),
        };
        let logs = vec![log("10.0.0.1", "a"), log("::1", "b:c"), log("h", "-")];
        let expected = Options {
            pen_log: "y".to_owned(),
            jitter: Some(5),
            shift: -3600,
            debug: 2,
            logs,
        };
        assert_eq!(options, expected);
        assert_eq!(merge("-p x 10.0.0.1:a").jitter, Some(600));
        assert_eq!(merge("-p x -j 5 -c 10.0.0.1:a").jitter, None);
    }

    #[test]
    fn operands_are_split() {
        for (word, server, file) in [
            ("10.0.0.1:a", "10.0.0.1", "a"),
            ("10.0.0.1:/var/log/a:b", "10.0.0.1", "/var/log/a:b"),
            ("::1:a", "::1", "a"),
            ("2001:db8::1:log:b", "2001:db8::1", "log:b"),
            // What reads as a part of the address is one.
            ("2001:db8::1:beef:a", "2001:db8::1:beef", "a"),
            ("[2001:db8::1]:beef:a", "2001:db8::1", "beef:a"),
            ("[10.0.0.1]:a", "10.0.0.1", "a"),
            ("::ffff:10.0.0.1:a", "10.0.0.1", "a"),
            ("/run/web.sock:a", "/run/web.sock", "a"),
        ] {
            let found = operand(word).unwrap();
            assert_eq!(found.server, Peer::new(server.as_bytes()), "{word}");
            assert_eq!(found.file, file, "{word}");
        }
    }

    #[test]
    fn bad_words_are_named() {
        for (line, parts) in [
            ("10.0.0.1:a", ["-p", "no pen log"]),
            ("-p x a", ["a:", "server:logfile"]),
            ("-p x :a", [":a:", "server:logfile"]),
            ("-p x a:", ["a::", "server:logfile"]),
            ("-p x ::1", ["::1:", "server:logfile"]),
            ("-p - h:-", ["-:", "only once"]),
            ("-p x h:- h:-", ["-:", "only once"]),
            ("-p x -j abc h:a", ["-j abc:", "number of seconds"]),
            ("-p x -j -1 h:a", ["-j -1:", "number of seconds"]),
            ("-p x -t 1h h:a", ["-t 1h:", "number of seconds"]),
            ("-p", ["-p:", "value missing"]),
            ("-q", ["-q:", "no such option"]),
            ("--quiet", ["--quiet:", "no such option"]),
            ("--help=x", ["--help:", "takes no value"]),
        ] {
            let why = refused(line);
            for part in parts {
                assert!(why.contains(part), "{line}: {why}");
            }
            assert_eq!(why.lines().count(), 1, "{why}");
        }
    }

    #[test]
    fn texts_end_well() {
        for (line, part) in [
            ("", "usage: mergelogs"),
            ("-p x", "usage: mergelogs"),
            ("--help", "usage: mergelogs"),
            ("--version", "mergelogs (pen) "),
        ] {
            match read(&words(line)) {
                Ok(Task::Print(text)) => assert!(text.contains(part), "{text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        for (_, _, help) in TABLE {
            assert!(usage().contains(help), "{help}");
        }
    }
}
