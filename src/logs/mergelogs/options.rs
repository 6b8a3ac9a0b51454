//! mergelogs' command line. Parsing and the usage text come from one table of
//! options.

use super::host::LogHost;
use super::input::STDIN;
use crate::getopt::{self, Invocation, Spec};
use std::ffi::OsString;
use std::net::Ipv6Addr;

/// What the command line sets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// The name of pen's log.
    pub(super) pen_log: String,
    /// How many seconds an entry of pen's log may be away from a line; without
    /// a limit all of pen's log is searched.
    pub(super) jitter: Option<i64>,
    /// Seconds that are subtracted from the times in pen's log.
    pub(super) shift: i64,
    /// How often `-d` was given: 1 reports the counts, 2 also lines that are
    /// not in pen's log, 3 also those that are.
    pub(super) debug: usize,
    /// The web servers' logs; there is at least one.
    pub(super) logs: Vec<Operand>,
}

/// An operand `server:logfile`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) server: LogHost,
    pub(super) file: String,
}

/// The jitter without `-j`, in seconds.
const JITTER: i64 = 600;

/// All options, in the order of the usage text.
const TABLE: &[Spec<()>] = &[
    Spec::letter("p", "penlog", "the file with pen's log; - is standard input", ()),
    Spec::letter("c", "", "search all of pen's log for each line, whatever the times", ()),
    Spec::letter("d", "", "report the counts; -dd and -ddd also report lines", ()),
    Spec::letter("j", "seconds", "search pen's log this long before and after a line [600]", ()),
    Spec::letter("t", "seconds", "subtract this from the times in pen's log", ()),
    Spec::long("help", "", "show this text", ()),
    Spec::long("version", "", "show the version", ()),
];

const VERSION: &str = concat!("mergelogs (pen) ", env!("CARGO_PKG_VERSION"), "\n");

fn usage() -> String {
    let mut text = String::from(
        "usage: mergelogs -p penlog [-cd] [-j seconds] [-t seconds] server:logfile ...\n\n",
    );
    text.push_str(&getopt::list(TABLE));
    text.push_str(
        "  server      a web server's address, as in pen's log; IPv6 best as [address]\n  \
           logfile     its log, in the common or combined format; - is standard input\n",
    );
    text
}

/// Reads the command line without opening anything. An error names the word
/// that is wrong.
pub(super) fn read(words: &[OsString]) -> Result<Invocation<Options>, String> {
    let given = match getopt::read("mergelogs", VERSION, TABLE, words, usage)? {
        Invocation::Print(text) => return Ok(Invocation::Print(text)),
        Invocation::Run(given) => given,
    };
    let jitter = given.number("j", 0, "a number of seconds")?.unwrap_or(JITTER);
    let shift = given.number("t", i64::MIN, "a number of seconds")?.unwrap_or(0);
    if given.operands.is_empty() {
        return Ok(Invocation::Print(usage())); // which is no failure
    }
    let pen_log = given.value("p").filter(|word| !word.is_empty()).cloned();
    let pen_log = pen_log.ok_or("no pen log given, expected -p penlog")?;
    let logs = given.operands.iter().map(|word| operand(word)).collect::<Result<Vec<_>, _>>()?;
    let files = logs.iter().map(|log| &log.file).chain([&pen_log]);
    if files.filter(|file| *file == STDIN).count() > 1 {
        return Err("-: standard input can be read only once".to_owned());
    }
    let jitter = (given.count("c") == 0).then_some(jitter);
    Ok(Invocation::Run(Options { pen_log, jitter, shift, debug: given.count("d"), logs }))
}

/// Splits `server:logfile` at the first colon. An IPv6 address stays whole: it
/// is in brackets, or else the longest part before a colon that is an address.
fn operand(word: &str) -> Result<Operand, String> {
    let bracketed = word.strip_prefix('[').and_then(|w| w.split_once("]:"));
    let is_ip = |(server, _): &(&str, &str)| server.parse::<Ipv6Addr>().is_ok();
    let splits = word.match_indices(':').rev();
    let mut splits = splits.filter_map(|(at, _)| Some((word.get(..at)?, word.get(at + 1..)?)));
    let split = bracketed.or_else(|| splits.find(is_ip)).or_else(|| word.split_once(':'));
    match split {
        Some((server, file)) if !server.is_empty() && !file.is_empty() => {
            Ok(Operand { server: LogHost::new(server.as_bytes()), file: file.to_owned() })
        }
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
            Ok(Invocation::Run(options)) => options,
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
            server: LogHost::new(server.as_bytes()),
            file: file.to_owned(),
        };
        let logs = vec![log("10.0.0.1", "a"), log("::1", "b:c"), log("h", "-")];
        let pen_log = "y".to_owned();
        let expected = Options { pen_log, jitter: Some(5), shift: -3600, debug: 2, logs };
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
            assert_eq!(found.server, LogHost::new(server.as_bytes()), "{word}");
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
            ("-t 1h", ["-t 1h:", "number of seconds"]),
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
                Ok(Invocation::Print(text)) => assert!(text.contains(part), "{text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        for spec in TABLE {
            assert!(usage().contains(spec.help), "{}", spec.help);
        }
    }
}
