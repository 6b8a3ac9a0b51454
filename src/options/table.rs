//! The one table of options. An option that does the same as a control command names
//! the command, and [`crate::control::table`] has the rest.

use super::{Draft, Task, usage, version};
use crate::getopt;
use crate::pool::clients::ClientTable;
use crate::sys::Kind;
use crate::sys::addr;
use crate::sys::message;
use std::str::FromStr;

/// What an option does with its value.
pub enum Action {
    /// It carries out this control command.
    Same(&'static str),
    /// It carries out this control command after the operands are read, because a server
    /// without a port gets the listening port. It overrides the command in the
    /// configuration file.
    Late(&'static str),
    /// It takes no value.
    Flag(fn(&mut Draft)),
    /// It uses its value, or says what is wrong with it.
    Value(fn(&mut Draft, &str) -> Result<(), String>),
    /// It does nothing, and pen says so.
    Obsolete,
    /// pen refuses it, because TLS is not built in.
    Tls,
}

/// An option of the table.
pub type Spec = getopt::Spec<Action>;

const fn flag(short: &'static str, help: &'static str, action: fn(&mut Draft)) -> Spec {
    Spec::letter(short, "", help, Action::Flag(action))
}

const fn long(long: &'static str, help: &'static str, action: fn(&mut Draft)) -> Spec {
    Spec::long(long, "", help, Action::Flag(action))
}

const fn value(
    short: &'static str,
    value: &'static str,
    help: &'static str,
    action: fn(&mut Draft, &str) -> Result<(), String>,
) -> Spec {
    Spec::letter(short, value, help, Action::Value(action))
}

const fn same(
    short: &'static str,
    value: &'static str,
    help: &'static str,
    command: &'static str,
) -> Spec {
    Spec::letter(short, value, help, Action::Same(command))
}

const fn other(short: &'static str, value: &'static str, action: Action) -> Spec {
    let help = match action {
        Action::Obsolete => "ignored, with a note",
        _ => "TLS is not built in",
    };
    Spec::letter(short, value, help, action)
}

/// The headings of the usage text, each with the first option below it.
pub(super) const HEADINGS: [(&str, &str); 7] = [
    ("f", "How pen runs"),
    ("r", "Which server a client gets"),
    ("t", "When a server fails"),
    ("H", "For HTTP servers"),
    ("C", "Control and observation"),
    ("P", "For compatibility, without effect"),
    ("A", "Refused"),
];

/// All options, in the order of the usage text.
pub const TABLE: &[Spec] = &[
    flag("f", "stay in the foreground", |d| d.set(|s| s.start.foreground = true)),
    value("u", "user", "run as this user, by name or number", |d, v| {
        d.set(|s| s.start.user = Some(v.to_owned()));
        Ok(())
    }),
    value("j", "dir", "chroot to this directory", |d, v| {
        d.set(|s| s.start.jail = Some(v.into()));
        Ok(())
    }),
    value("p", "file", "write the process number to this file", |d, v| {
        d.set(|s| s.start.pid_file = Some(v.into()));
        Ok(())
    }),
    value("F", "file", "carry out the control commands in this file", |d, v| {
        if v.is_empty() {
            return Err("no file is named".to_owned());
        }
        d.set(|s| s.config = Some(v.into()));
        Ok(())
    }),
    value("O", "command", "carry out this control command", |d, v| d.line(v)),
    value("o", "command", "the same as -O", |d, v| d.line(v)),
    flag("U", "balance UDP instead of TCP", |d| {
        d.set(|s| s.start.kind = Kind::Datagram);
    }),
    value("x", "number", "serve at most this many connections at once [500]", |d, v| {
        d.pen.connections.set_max(number(v, 1)?);
        d.give("conn_max");
        Ok(())
    }),
    value("q", "number", "let this many clients wait to be accepted [500]", |d, v| {
        let mut backlog: u32 = number(v, 0)?;
        if backlog < 50 {
            message::warn(format_args!("-q {v}: too low, 50 is used"));
            backlog = 50;
        }
        d.set(|s| s.backlog = backlog);
        Ok(())
    }),
    long("no-batch", "run in the usual scheduling class (Linux)", |d| {
        d.set(|s| s.start.batch = false);
    }),
    long("no-sandbox", "keep rights that pen does not need", |d| {
        d.set(|s| s.start.sandbox = false);
    }),
    long("check", "check the options and configuration, then exit", |d| d.task = Task::Checked),
    long("try", "the same, and connect to each server", |d| d.task = Task::Try),
    long("help", "show this text", |d| d.print = Some(usage())),
    long("version", "show the version", |d| d.print = Some(version())),
    same("r", "", "use the servers in turn, and remember no clients", "roundrobin"),
    same("W", "", "choose the fewest connections for the weight", "weight"),
    same("h", "", "choose first by a hash of the client's address", "hash"),
    flag("N", "choose by hash, and remember no clients", |d| {
        d.set(|s| (s.modes.hash, s.forgetful) = (true, true));
    }),
    same("s", "", "be stubborn: never fail over to another server", "stubborn"),
    value("c", "number", "remember this many clients [2048]", |d, v| {
        let max = number(v, 1)?;
        d.pen.with_clients(|clients| *clients = ClientTable::new(max));
        d.give("clients_max");
        Ok(())
    }),
    same("T", "seconds", "forget clients that stay away longer; 0: never [0]", "tracking"),
    same("t", "seconds", "let a connect take this long [3]", "timeout"),
    same("b", "seconds", "leave a server that failed alone this long [30]", "blacklist"),
    Spec::letter(
        "e",
        "host:port",
        "emergency server: for when no other is available",
        Action::Late("emergency"),
    ),
    Spec::letter(
        "B",
        "host:port",
        "abuse server: for clients that client_acl denies",
        Action::Late("abuse"),
    ),
    same("H", "", "tell them the client (X-Forwarded-For)", "http"),
    value("C", "[host:]port|/path", "open a control port; as root only with -u", |d, v| {
        addr::endpoint(v)?;
        d.set(|s| s.control = Some(v.to_owned()));
        Ok(())
    }),
    flag("X", "allow the control command exit", |d| d.set(|s| s.exit_enabled = true)),
    Spec::long(
        "web",
        "[host:]port|/path",
        "open a web interface; as root only with -u",
        Action::Same("web"),
    ),
    same("w", "file", "write the HTML report to this file", "web_stats"),
    same("l", "file|host:port", "log requests to a file, or over UDP to penlogd", "log"),
    flag("d", "say more; -dd and -ddd say more still", |d| {
        d.set(|s| s.debug = s.debug.saturating_add(1));
    }),
    same("a", "", "show the data of -ddd as text instead of hex", "ascii"),
    flag("P", "use poll", |_| {}),
    value("m", "number", "accept this many connections in a round [100]", |_, v| {
        if number::<i64>(v, i64::MIN)? < 1 {
            message::warn(format_args!("-m {v}: too low, 1 is used"));
        }
        Ok(())
    }),
    value("i", "name", "install a service: Windows only, exits", |d, _| {
        d.print = Some("pen: -i installs a service on Windows only\n".to_owned());
        Ok(())
    }),
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
];

/// Reads a number of at least `least`.
fn number<T: FromStr + PartialOrd + std::fmt::Display>(word: &str, least: T) -> Result<T, String> {
    match word.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("expected a number of at least {least}")),
    }
}
