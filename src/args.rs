//! The command line: one table of options, from which parsing and the usage
//! text come, and what they make of a pen before it starts.

use crate::addr;
use crate::client::ClientTable;
use crate::command::{Command, Timer};
use crate::config;
use crate::control;
use crate::message;
use crate::server::Server;
use crate::settings::{LogTarget, Settings};
use crate::state::{Pen, Phase};
use getopts::{Fail, HasArg, Occur, Options, ParsingStyle};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

/// What the command line asks for.
pub enum Task {
    /// Print this and end well.
    Print(String),
    /// Everything reads well (`--check`).
    Checked(Pen),
    /// Run this pen.
    Run(Pen),
}

/// A pen being put together.
struct Draft {
    pen: Pen,
    print: Option<String>,
    check: bool,
    replies: String,
    // Resolved when the listening port is known.
    emergency: Option<String>,
    abuse: Option<String>,
}

type Complaint = Result<(), String>;

/// What an option does with its value.
enum Action {
    Flag(fn(&mut Draft)),
    Value(fn(&mut Draft, &str) -> Complaint),
    /// A note, and nothing else.
    Obsolete,
    /// TLS is not built in.
    Tls,
    /// So far not built at all.
    Missing,
}

/// An option of the table.
pub struct Spec {
    /// The letter, or nothing.
    pub short: &'static str,
    /// The long name, or nothing.
    pub long: &'static str,
    /// What its value is, or nothing.
    pub value: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    action: Action,
}

const fn flag(short: &'static str, help: &'static str, action: fn(&mut Draft)) -> Spec {
    let (long, value, action) = ("", "", Action::Flag(action));
    Spec {
        short,
        long,
        value,
        help,
        action,
    }
}

const fn long(long: &'static str, help: &'static str, action: fn(&mut Draft)) -> Spec {
    let (short, value, action) = ("", "", Action::Flag(action));
    Spec {
        short,
        long,
        value,
        help,
        action,
    }
}

const fn value(
    short: &'static str,
    value: &'static str,
    help: &'static str,
    action: fn(&mut Draft, &str) -> Complaint,
) -> Spec {
    let (long, action) = ("", Action::Value(action));
    Spec {
        short,
        long,
        value,
        help,
        action,
    }
}

const fn other(short: &'static str, value: &'static str, action: Action) -> Spec {
    let help = match action {
        Action::Obsolete => "obsolete, ignored",
        Action::Missing => "not built yet",
        _ => "TLS is not built in",
    };
    Spec {
        short,
        long: "",
        value,
        help,
        action,
    }
}

/// All options, in the order of the usage text.
pub const TABLE: &[Spec] = &[
    value(
        "B",
        "host:port",
        "abuse server: where clients denied by client_acl go",
        |d, v| d.command(Command::Abuse(Some(v.to_owned()))),
    ),
    value(
        "C",
        "[host:]port|/path",
        "control port; as root only together with -u",
        |d, v| {
            addr::endpoint(v)?;
            d.set(|s| s.control = Some(v.to_owned()));
            Ok(())
        },
    ),
    value(
        "F",
        "file",
        "configuration file: control commands, one a line",
        |d, v| {
            d.set(|s| s.config = Some(v.into()));
            Ok(())
        },
    ),
    flag(
        "N",
        "hash for the first choice, never remember the client",
        |d| {
            d.set(|s| (s.modes.hash, s.forgetful) = (true, true));
        },
    ),
    value("O", "command", "carry out a control command", |d, v| {
        d.line(v)
    }),
    flag("P", "use poll; accepted, without effect", |_| {}),
    value(
        "T",
        "seconds",
        "forget clients that stay away longer; 0 = never [0]",
        |d, v| d.time(Timer::Tracking, v),
    ),
    flag(
        "W",
        "choose the server with the fewest connections for its weight",
        |d| {
            d.set(|s| s.modes.weight = true);
        },
    ),
    flag("X", "allow the control command exit", |d| {
        d.set(|s| s.exit_enabled = true)
    }),
    flag("a", "debug dumps as text instead of hex (with -ddd)", |d| {
        d.set(|s| s.ascii = true)
    }),
    value(
        "b",
        "seconds",
        "how long a server that failed is left alone [30]",
        |d, v| d.time(Timer::Blacklist, v),
    ),
    value("c", "number", "slots in the client table [2048]", |d, v| {
        let max = number(v, 1)?;
        d.pen
            .with_clients(|clients| *clients = ClientTable::new(max));
        Ok(())
    }),
    flag("d", "say more; repeat for more still", |d| {
        d.set(|s| s.debug = s.debug.saturating_add(1));
    }),
    value(
        "e",
        "host:port",
        "emergency server, for when every other is unavailable",
        |d, v| d.command(Command::Emergency(Some(v.to_owned()))),
    ),
    flag("f", "stay in the foreground", |d| {
        d.set(|s| s.start.foreground = true)
    }),
    flag(
        "h",
        "hash on the client address for the first choice",
        |d| {
            d.set(|s| s.modes.hash = true);
        },
    ),
    value("i", "name", "Windows only", |d, _| {
        d.print = Some("pen: -i installs a service on Windows only\n".to_owned());
        Ok(())
    }),
    value(
        "j",
        "dir",
        "run in this directory as root (chroot)",
        |d, v| {
            d.set(|s| s.start.jail = Some(v.into()));
            Ok(())
        },
    ),
    value(
        "l",
        "file|host:port",
        "log requests to a file, or over UDP to penlogd",
        |d, v| {
            d.set(|s| s.log = Some(LogTarget::parse(v)));
            Ok(())
        },
    ),
    value(
        "m",
        "number",
        "connections accepted in a round; without effect [100]",
        |_, v| {
            if number::<i64>(v, i64::MIN)? < 1 {
                message::say(format_args!("-m {v}: too low, 1 is used"));
            }
            Ok(())
        },
    ),
    value("o", "command", "the same as -O", |d, v| d.line(v)),
    value("p", "file", "write the process number to a file", |d, v| {
        d.set(|s| s.start.pid_file = Some(v.into()));
        Ok(())
    }),
    value(
        "q",
        "number",
        "clients that may wait to be accepted [500]",
        |d, v| {
            let mut backlog: u32 = number(v, 0)?;
            if backlog < 50 {
                message::say(format_args!("-q {v}: too low, 50 is used"));
                backlog = 50;
            }
            d.set(|s| s.backlog = backlog);
            Ok(())
        },
    ),
    flag("r", "servers in turn, no client tracking", |d| {
        d.set(|s| s.modes.roundrobin = true)
    }),
    flag("s", "stubborn: never fail over to another server", |d| {
        d.set(|s| s.modes.stubborn = true);
    }),
    value("t", "seconds", "how long a connect may take [3]", |d, v| {
        d.time(Timer::Timeout, v)
    }),
    value(
        "u",
        "user",
        "run as this user, by name or number",
        |d, v| {
            d.set(|s| s.start.user = Some(v.to_owned()));
            Ok(())
        },
    ),
    value("w", "file", "where the HTML report goes", |d, v| {
        d.set(|s| s.web_stats = Some(v.into()));
        Ok(())
    }),
    value("x", "number", "most connections at once [500]", |d, v| {
        d.pen.connections.set_max(number(v, 1)?);
        Ok(())
    }),
    other("H", "", Action::Missing),
    other("U", "", Action::Missing),
    other("D", "", Action::Obsolete),
    other("n", "", Action::Obsolete),
    other("Q", "", Action::Obsolete),
    other("S", "number", Action::Obsolete),
    other("A", "dir", Action::Tls),
    other("E", "file", Action::Tls),
    other("G", "file", Action::Tls),
    other("K", "file", Action::Tls),
    other("L", "protocol", Action::Tls),
    other("R", "", Action::Tls),
    other("Z", "", Action::Tls),
    long(
        "check",
        "read everything, open nothing, say what is wrong",
        |d| d.check = true,
    ),
    long(
        "no-batch",
        "no SCHED_BATCH (Linux): share the processors with others evenly",
        |d| {
            d.set(|s| s.start.batch = false);
        },
    ),
    long("help", "this text", |d| d.print = Some(usage())),
    long("version", "the version", |d| d.print = Some(version())),
];

fn version() -> String {
    format!("pen {}\n", env!("CARGO_PKG_VERSION"))
}

/// The usage text.
pub fn usage() -> String {
    let mut text = String::from(
        "usage: pen [options] [host:]port|/path server [server ...]\n\
         server: host[:port[:max[:hard[:weight[:prio]]]]], [address]:port:..., or /path\n\n",
    );
    for spec in TABLE {
        let name = match (spec.short, spec.long) {
            ("", long) => format!("--{long}"),
            (short, _) => format!("-{short} {}", spec.value),
        };
        let _ = writeln!(text, "  {name:<21} {}", spec.help);
    }
    text.push_str("\nexample: pen smtp mailhost1:smtp mailhost2:25 mailhost3\n");
    text
}

/// A number of at least `least`.
fn number<T: FromStr + PartialOrd + std::fmt::Display>(word: &str, least: T) -> Result<T, String> {
    match word.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("expected a number of at least {least}")),
    }
}

impl Draft {
    fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        self.pen.set(change);
    }

    fn command(&mut self, command: Command) -> Complaint {
        control::execute(&self.pen, command).map(drop)
    }

    fn time(&mut self, timer: Timer, word: &str) -> Complaint {
        let least = u64::from(timer == Timer::Timeout);
        self.command(Command::Timer(timer, Some(number(word, least)?)))
    }

    fn line(&mut self, line: &str) -> Complaint {
        self.replies += &control::line(&self.pen, line)?;
        Ok(())
    }

    fn apply(&mut self, spec: &Spec, word: &str) -> Complaint {
        let name = match spec.short {
            "" => format!("--{}", spec.long),
            short => format!("-{short}"),
        };
        match spec.action {
            Action::Flag(action) => {
                action(self);
                Ok(())
            }
            Action::Value(action) => {
                action(self, word).map_err(|why| format!("{name} {}", addr::within(word, &why)))
            }
            Action::Obsolete => {
                message::say(format_args!("{name} is obsolete and ignored"));
                Ok(())
            }
            Action::Missing => Err(format!("{name}: not built yet")),
            Action::Tls => Err(format!(
                "{name}: TLS is not built in; put stunnel, hitch or nginx in front of pen"
            )),
        }
    }
}

/// Options in the order in which they were given, with their values.
type Given = Vec<(&'static Spec, String)>;

/// Tells options from operands.
fn split(words: &[OsString]) -> Result<(Given, Vec<String>), String> {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::FloatingFrees);
    for spec in TABLE {
        let has_value = if spec.value.is_empty() {
            HasArg::No
        } else {
            HasArg::Yes
        };
        options.opt(spec.short, spec.long, "", "", has_value, Occur::Multi);
    }
    let matches = options.parse(words).map_err(|fail| match fail {
        Fail::UnrecognizedOption(name) => format!("{}: no such option", dashed(&name)),
        Fail::ArgumentMissing(name) => format!("{}: value missing", dashed(&name)),
        Fail::UnexpectedArgument(name) => format!("{}: takes no value", dashed(&name)),
        other => other.to_string(),
    });
    let matches = matches.map_err(|why| format!("{why}; pen --help lists the options"))?;
    let mut given = Vec::new();
    for spec in TABLE {
        let name = if spec.short.is_empty() {
            spec.long
        } else {
            spec.short
        };
        if spec.value.is_empty() {
            let positions = matches.opt_positions(name);
            given.extend(positions.into_iter().map(|at| (at, spec, String::new())));
        } else {
            let values = matches.opt_strs_pos(name);
            given.extend(values.into_iter().map(|(at, value)| (at, spec, value)));
        }
    }
    // In a cluster all share one position; the one with a value is its last.
    given.sort_by_key(|(at, spec, _)| (*at, !spec.value.is_empty()));
    let given = given.into_iter().map(|(_, spec, value)| (spec, value));
    Ok((given.collect(), matches.free))
}

fn dashed(name: &str) -> String {
    match name.chars().count() {
        1 => format!("-{name}"),
        _ => format!("--{name}"),
    }
}

/// Reads the command line, the configuration file it names, and resolves the
/// operands. Opens and changes nothing.
pub fn read(words: &[OsString]) -> Result<Task, String> {
    let (given, operands) = split(words)?;
    let pen = Pen::new().map_err(|e| e.to_string())?;
    let mut draft = Draft {
        pen,
        print: None,
        check: false,
        replies: String::new(),
        emergency: None,
        abuse: None,
    };
    if given.iter().any(|(spec, _)| spec.long == "check") {
        draft.pen.enter(Phase::Checking);
    }
    for (spec, word) in given {
        draft.apply(spec, &word)?;
        if let Some(text) = draft.print {
            return Ok(Task::Print(text));
        }
        // What -O answers appears at once, before a later option fails.
        let replies = std::mem::take(&mut draft.replies);
        let _ = std::io::stdout().write_all(replies.as_bytes());
    }
    message::set_debug(draft.pen.settings().debug);
    operands_of(&draft.pen, &operands)?;
    if let Some(word) = draft.emergency.take() {
        let result = draft.command(Command::Emergency(Some(word)));
        result.map_err(|why| format!("-e {why}"))?;
    }
    if let Some(word) = draft.abuse.take() {
        let result = draft.command(Command::Abuse(Some(word)));
        result.map_err(|why| format!("-B {why}"))?;
    }
    let pen = draft.pen;
    let file: Option<PathBuf> = pen.settings().config.clone();
    if let Some(file) = file {
        config::read(&pen, &file)?;
    }
    Ok(match pen.settings().listen {
        None => Task::Print(usage()),
        Some(_) if draft.check => Task::Checked(pen),
        Some(_) => Task::Run(pen),
    })
}

/// Where to listen, and the servers.
fn operands_of(pen: &Pen, operands: &[String]) -> Complaint {
    let [listen, servers @ ..] = operands else {
        return Ok(());
    };
    let port = addr::endpoint(listen)?.port();
    pen.set(|s| s.listen = Some(listen.clone()));
    for (index, word) in servers.iter().enumerate() {
        let server = Server::new(addr::server(word, port)?);
        pen.servers.table().put(index, server);
    }
    // Servers of -O, which came before there was a listening port.
    for server in &mut pen.servers.table().servers {
        if server.port == 0 {
            server.port = port.unwrap_or(0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn run(line: &str) -> Pen {
        match read(&words(line)) {
            Ok(Task::Run(pen)) => pen,
            Ok(_) => panic!("{line}: does not run"),
            Err(why) => panic!("{line}: {why}"),
        }
    }

    fn refused(line: &str) -> String {
        match read(&words(line)) {
            Err(why) => why,
            Ok(_) => panic!("{line}: accepted"),
        }
    }

    #[test]
    fn the_table_has_no_doubles() {
        let names = |get: fn(&Spec) -> &'static str| {
            let mut all: Vec<_> = TABLE.iter().map(get).filter(|n| !n.is_empty()).collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count);
        };
        names(|spec| spec.short);
        names(|spec| spec.long);
        let usage = usage();
        for spec in TABLE {
            assert!(usage.contains(spec.help), "{}", spec.help);
        }
    }

    #[test]
    fn options_and_operands_mix() {
        let pen = run("127.0.0.1:80 -x500 -hr 127.0.0.2:81:3 -x 7 -dd -d 127.0.0.3");
        let settings = pen.settings();
        assert_eq!(pen.connections.max(), 7);
        assert!(settings.modes.hash && settings.modes.roundrobin && !settings.modes.weight);
        assert_eq!(settings.debug, 3);
        let table = pen.servers.table();
        let operands: Vec<_> = table.servers.iter().map(Server::operand).collect();
        assert_eq!(operands, ["127.0.0.2:81:3", "127.0.0.3:80"]);
        message::set_debug(0);
    }

    #[test]
    fn commands_take_their_turn() {
        let line = [
            "-h",
            "-O",
            "no hash",
            "-r",
            "80",
            "-O",
            "no roundrobin",
            "-O",
            "blacklist 7",
        ];
        let words: Vec<_> = line.iter().map(OsString::from).collect();
        let Ok(Task::Run(pen)) = read(&words) else {
            panic!("does not run");
        };
        let settings = pen.settings();
        assert_eq!(settings.modes, crate::balance::Modes::default());
        assert_eq!(settings.blacklist.as_secs(), 7);
    }

    #[test]
    fn bad_words_are_named() {
        for (line, parts) in [
            ("-x abc 80 h", ["-x abc", "number"]),
            ("-x 0 80 h", ["-x 0", "at least 1"]),
            ("-t 0 80 h", ["-t 0", "at least 1"]),
            ("-t 99999999999 80 h", ["-t 99999999999", "too long"]),
            ("-T -1 80 h", ["-T -1", "number"]),
            ("-c 0 80 h", ["-c 0", "at least 1"]),
            ("-y 80 h", ["-y", "no such option"]),
            ("--nonsense 80 h", ["--nonsense", "no such option"]),
            ("80 h -x", ["-x", "value missing"]),
            ("--check=1 80 h", ["--check", "takes no value"]),
            ("-E cert 80 h", ["-E", "stunnel"]),
            ("-ZR 80 h", ["-", "stunnel"]),
            ("-C 99999 80 h", ["-C 99999", "out of range"]),
            ("-e [::1 80 h", ["-e [::1", "no ]"]),
            (
                "-F /nonexistent 80 127.0.0.1",
                ["/nonexistent", "cannot read"],
            ),
            ("127.0.0.1: 127.0.0.1", ["127.0.0.1:", "expected a port"]),
            ("80 127.0.0.1:80x", ["127.0.0.1:80x", "expected a port"]),
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
            ("", "usage: pen"),
            ("--help", "--check"),
            ("--version", "pen "),
            ("-i service 80 h", "Windows"),
        ] {
            match read(&words(line)) {
                Ok(Task::Print(text)) => assert!(text.contains(part), "{text}"),
                _ => panic!("{line}"),
            }
        }
        assert!(matches!(
            read(&words("--check 80 127.0.0.1")),
            Ok(Task::Checked(_))
        ));
    }
}
