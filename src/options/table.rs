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
        Action::Obsolete => "obsolete, ignored",
        _ => "TLS is not built in",
    };
    Spec::letter(short, value, help, action)
}

/// All options, in the order of the usage text.
pub const TABLE: &[Spec] = &[
    Spec::letter(
        "B",
        "host:port",
        "abuse server: where clients denied by client_acl go",
        Action::Late("abuse"),
    ),
    value("C", "[host:]port|/path", "control port; as root only together with -u", |d, v| {
        addr::endpoint(v)?;
        d.set(|s| s.control = Some(v.to_owned()));
        Ok(())
    }),
    value("F", "file", "configuration file: control commands, one a line", |d, v| {
        if v.is_empty() {
            return Err("no file is named".to_owned());
        }
        d.set(|s| s.config = Some(v.into()));
        Ok(())
    }),
    same("H", "", "add X-Forwarded-For and X-Forwarded-Proto to HTTP requests", "http"),
    flag("N", "hash for the first choice, never remember the client", |d| {
        d.set(|s| (s.modes.hash, s.forgetful) = (true, true));
    }),
    value("O", "command", "carry out a control command", |d, v| d.line(v)),
    flag("P", "use poll; accepted, without effect", |_| {}),
    same("T", "seconds", "forget clients that stay away longer; 0 = never [0]", "tracking"),
    flag("U", "UDP instead of TCP", |d| {
        d.set(|s| s.start.kind = Kind::Datagram);
    }),
    same("W", "", "choose the server with the fewest connections for its weight", "weight"),
    flag("X", "allow the control command exit", |d| d.set(|s| s.exit_enabled = true)),
    same("a", "", "debug dumps as text instead of hex (with -ddd)", "ascii"),
    same("b", "seconds", "how long a server that failed is left alone [30]", "blacklist"),
    value("c", "number", "slots in the client table [2048]", |d, v| {
        let max = number(v, 1)?;
        d.pen.with_clients(|clients| *clients = ClientTable::new(max));
        d.give("clients_max");
        Ok(())
    }),
    flag("d", "say more; repeat for more still", |d| {
        d.set(|s| s.debug = s.debug.saturating_add(1));
    }),
    Spec::letter(
        "e",
        "host:port",
        "emergency server, for when every other is unavailable",
        Action::Late("emergency"),
    ),
    flag("f", "stay in the foreground", |d| d.set(|s| s.start.foreground = true)),
    same("h", "", "hash on the client address for the first choice", "hash"),
    value("i", "name", "Windows only", |d, _| {
        d.print = Some("pen: -i installs a service on Windows only\n".to_owned());
        Ok(())
    }),
    value("j", "dir", "run in this directory as root (chroot)", |d, v| {
        d.set(|s| s.start.jail = Some(v.into()));
        Ok(())
    }),
    same("l", "file|host:port", "log requests to a file, or over UDP to penlogd", "log"),
    value("m", "number", "connections accepted in a round; without effect [100]", |_, v| {
        if number::<i64>(v, i64::MIN)? < 1 {
            message::warn(format_args!("-m {v}: too low, 1 is used"));
        }
        Ok(())
    }),
    value("o", "command", "the same as -O", |d, v| d.line(v)),
    value("p", "file", "write the process number to a file", |d, v| {
        d.set(|s| s.start.pid_file = Some(v.into()));
        Ok(())
    }),
    value("q", "number", "clients that may wait to be accepted [500]", |d, v| {
        let mut backlog: u32 = number(v, 0)?;
        if backlog < 50 {
            message::warn(format_args!("-q {v}: too low, 50 is used"));
            backlog = 50;
        }
        d.set(|s| s.backlog = backlog);
        Ok(())
    }),
    same("r", "", "servers in turn, no client tracking", "roundrobin"),
    same("s", "", "stubborn: never fail over to another server", "stubborn"),
    same("t", "seconds", "how long a connect may take [3]", "timeout"),
    value("u", "user", "run as this user, by name or number", |d, v| {
        d.set(|s| s.start.user = Some(v.to_owned()));
        Ok(())
    }),
    same("w", "file", "where the HTML report goes", "web_stats"),
    value("x", "number", "most connections at once [500]", |d, v| {
        d.pen.connections.set_max(number(v, 1)?);
        d.give("conn_max");
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
    long("check", "read everything, open nothing, say what is wrong", |d| d.task = Task::Checked),
    long("no-batch", "no SCHED_BATCH (Linux): share the processors with others evenly", |d| {
        d.set(|s| s.start.batch = false);
    }),
    long("no-sandbox", "keep rights that pen does not need: see SECURITY in pen(1)", |d| {
        d.set(|s| s.start.sandbox = false);
    }),
    Spec::long(
        "web",
        "[host:]port|/path",
        "web interface; a port alone is 127.0.0.1's; as root only with -u",
        Action::Same("web"),
    ),
    long("try", "like --check, then connect to each server; status 1 if none answers", |d| {
        d.task = Task::Try;
    }),
    long("help", "this text", |d| d.print = Some(usage())),
    long("version", "the version", |d| d.print = Some(version())),
];

/// Reads a number of at least `least`.
fn number<T: FromStr + PartialOrd + std::fmt::Display>(word: &str, least: T) -> Result<T, String> {
    match word.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("expected a number of at least {least}")),
    }
}
