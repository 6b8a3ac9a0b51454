//! The one table of control commands: a new setting is a row here and a field
//! of [`Settings`].

use super::commands;
use super::edit::LONGEST;
use super::parse::{
    Bad, Command, Parsed, Words, acl_entry, among, escapes, explain, forget, http_check, idlers,
    list, maybe, not_built, nothing, number, one, read, server, source, source_address, try_line,
};
use super::row::{Kind, Spec, Value};
use crate::pool::prefix::Prefix;
use crate::pool::server::Server;
use crate::proxy::servers::Table;
use crate::proxy::shared::Pen;
use crate::settings::{Fastclose, Rate, Settings};
use crate::sys;
use std::path::PathBuf;
use std::time::Duration;

type Str = &'static str;

const fn spec(name: Str, args: Str, help: Str, parse: fn(&mut Words) -> Parsed) -> Spec {
    Spec::new(name, args, help, Kind::Do(parse))
}

const fn ignored(name: Str) -> Spec {
    spec(name, "", "accepted, without effect", nothing)
}

const fn switch(name: Str, help: Str, field: fn(&mut Settings) -> &mut bool) -> Spec {
    Spec::new(name, "", help, Kind::Switch(field)).or_no("")
}

/// A command that sets a time of `least` to `most` seconds.
const fn seconds(
    name: Str,
    (least, most): (u64, u64),
    help: Str,
    field: fn(&mut Settings) -> &mut Duration,
) -> Spec {
    Spec::new(name, "[seconds]", help, Kind::Seconds(field, least, most))
}

/// A command that chooses an access list.
const fn acl_of(name: Str, help: Str, field: fn(&mut Settings) -> &mut usize) -> Spec {
    Spec::new(name, "[list]", help, Kind::List(field))
}

/// A command that sets one word, which `check` may refuse.
const fn word(
    name: Str,
    args: Str,
    help: Str,
    check: fn(Option<&str>) -> Result<(), Bad>,
    get: fn(&Settings) -> Option<String>,
    set: fn(&mut Settings, Option<&str>),
) -> Spec {
    Spec::new(name, args, help, Kind::Word { get, set }).checked(check)
}

const fn text(
    name: Str,
    args: Str,
    help: Str,
    field: fn(&mut Settings) -> &mut Option<String>,
) -> Spec {
    Spec::new(name, args, help, Kind::Text(field)).or_no("")
}

const fn path(name: Str, help: Str, field: fn(&mut Settings) -> &mut Option<PathBuf>) -> Spec {
    Spec::new(name, "[file]", help, Kind::Path(field)).or_no("")
}

const fn whole(name: Str, help: Str, field: fn(&mut Settings) -> &mut u32) -> Spec {
    Spec::new(name, "[number]", help, Kind::Number(field))
}

fn count(count: usize) -> Option<Value> {
    Some(Value::Number(count as u64))
}

fn last_resort(pen: &Pen, of: fn(&Table) -> Option<&Server>) -> Option<Value> {
    let table = pen.servers.table();
    let by_name = table.settings.keeps_names();
    Some(Value::Text(of(&table).map(|server| server.operand(by_name))))
}

const ANY: (u64, u64) = (0, LONGEST);

/// All commands, in alphabetical order.
pub const TABLE: &[Spec] = &[
    ignored("abort_on_error").or_no(""),
    spec("abuse", "[host:port]", "server for clients that client_acl denies", |w| {
        Ok(Command::Abuse(maybe(w)?))
    })
    .saved(|pen| last_resort(pen, |table| table.abuse.as_ref())),
    spec(
        "acl",
        "list permit|deny address [mask] | address/length",
        "add an entry to an access list, 0 to 9",
        |w| if w.no { Ok(Command::AclClear(list(one(w)?)?)) } else { acl_entry(w) },
    )
    .or_no("list"),
    switch("ascii", "debug dumps as text", |s| &mut s.ascii),
    seconds("blacklist", ANY, "how long a server that failed is left alone", |s| &mut s.blacklist),
    ignored("block").or_no(""),
    seconds("check", ANY, "time between two checks of a server; 0 = no checks", |s| &mut s.check),
    text("check_expect", "[text]", "what a server's answer to a check begins with", |s| {
        &mut s.check_expect
    })
    .checked(escapes),
    whole("check_fall", "failed checks in a row that take a server out", |s| &mut s.check_fall),
    text(
        "check_http",
        "[path [status]]",
        "ask servers for this path; without status, 2xx and 3xx are good",
        |s| &mut s.check_http,
    )
    .checked(http_check),
    path("check_program", "check servers with a program", |s| &mut s.check_program),
    whole("check_rise", "good checks in a row that bring a server back", |s| &mut s.check_rise),
    text("check_send", "[text]", "what a check sends to a server", |s| &mut s.check_send)
        .checked(escapes),
    seconds("check_timeout", (1, LONGEST), "how long a check may take", |s| &mut s.check_timeout),
    acl_of("client_acl", "access list for clients", |s| &mut s.client_acl),
    whole("client_conn_max", "most connections at once of a client; 0 = no limit", |s| {
        &mut s.client_conn_max
    }),
    seconds(
        "client_keepalive",
        (0, sys::LONGEST_KEEP_ALIVE),
        "ask peers silent for longer; 0 = as the system",
        |s| &mut s.client_keepalive,
    ),
    word(
        "client_rate",
        "[number/seconds]",
        "how many new connections a client may have in a time",
        read::<Rate>,
        |s| s.client_rate.map(|rate| rate.to_string()),
        |s, word| s.client_rate = word.and_then(|word| word.parse().ok()),
    )
    .or_no(""),
    spec("clients_max", "[number]", "slots in the client table; grows only", |w| {
        Ok(Command::ClientsMax(maybe(w)?))
    })
    .saved(|pen| count(pen.with_clients(|clients| clients.max()))),
    spec("close", "connection", "end a connection", |w| Ok(Command::Close(number(one(w)?)?))),
    text("conn_log", "[file | syslog]", "where ends of connections are logged", |s| {
        &mut s.conn_log
    }),
    spec("conn_max", "[number]", "most connections at once; grows only", |w| {
        Ok(Command::ConnMax(maybe(w)?))
    })
    .saved(|pen| count(pen.connections.max())),
    spec("connection", "connection", "show a connection", |w| {
        Ok(Command::Connection(number(one(w)?)?))
    }),
    Spec::new(
        "control",
        "",
        "show the control address",
        Kind::Show(|s| s.control.as_ref().map_or(String::new(), |at| format!("{at}\n"))),
    ),
    acl_of("control_acl", "access list for control connections", |s| &mut s.control_acl),
    Spec::new("debug", "[level]", "how much is said", Kind::Number(|s| &mut s.debug)),
    ignored("delayed_forward").or_no(""),
    seconds("drain_timeout", ANY, "how long connections may take to finish at the end", |s| {
        &mut s.drain_timeout
    }),
    spec("dsr_if", "interface", "not built in", |_| not_built("direct server return")),
    switch("dummy", "answer every client with a fixed page", |s| &mut s.dummy),
    spec("emergency", "[host:port]", "server of last resort", |w| {
        Ok(Command::Emergency(maybe(w)?))
    })
    .saved(|pen| last_resort(pen, |table| table.emergency.as_ref())),
    ignored("epoll"),
    spec("exit", "", "end pen, if it was started with -X", |_| Ok(Command::Exit)),
    switch("expand", "each address of a server's name is a server", |s| &mut s.expand),
    spec("explain", "client [port]", "which server a client would get now, and why", explain),
    spec("forget", "[client|server index]", "forget which server clients were on", forget),
    seconds(
        "half_closed_timeout",
        ANY,
        "close half-closed connections quiet for longer; 0 = never",
        |s| &mut s.half_closed_timeout,
    ),
    switch("hash", "hash on the client address for the first choice", |s| &mut s.modes.hash),
    Spec::new(
        "hash_type",
        "[modulo|rendezvous]",
        "how hash chooses: as the C program, or evenly, moving few clients",
        Kind::Either(["rendezvous", "modulo"], |s| &mut s.modes.modulo),
    ),
    spec("help", "", "list the commands", |_| Ok(Command::Help)),
    switch("http", "add X-Forwarded-For and X-Forwarded-Proto to HTTP requests", |s| &mut s.http),
    // pen quirk: this reply names the setting and its unit.
    seconds("idle_timeout", ANY, "close connections quiet for longer; 0 = never", |s| {
        &mut s.idle_timeout
    })
    .between("Idle timeout: ", " seconds"),
    spec("idlers", "[number]", "connections kept open to the servers without a client", idlers)
        .saved(|pen| count(pen.idlers.count().1)),
    spec("include", "file", "carry out the commands in a file", |w| {
        Ok(Command::Include(one(w)?.into()))
    }),
    switch("keepalive", "SO_KEEPALIVE on server connections, too", |s| &mut s.keepalive),
    ignored("kqueue"),
    seconds("lame_duck", ANY, "with drain_timeout: how long pen listens on after TERM", |s| {
        &mut s.lame_duck
    }),
    word(
        "limit_prefix",
        "[bits/bits]",
        "the same for client_conn_max and client_rate",
        read::<Prefix>,
        |s| Some(s.limit_prefix.to_string()),
        |s, word| s.limit_prefix = word.and_then(|word| word.parse().ok()).unwrap_or(Prefix::HOST),
    ),
    // `write` saves it in the command line, not as a command.
    Spec::new("listen", "[address]", "where clients connect", Kind::Text(|s| &mut s.listen))
        .saved(|_| None),
    text("log", "[file | host:port]", "where requests are logged", |s| &mut s.log),
    Spec::new("mode", "", "show the modes", Kind::Show(commands::mode)),
    path("on_change", "program that is run when the state of a server changes", |s| {
        &mut s.on_change
    }),
    Spec::new(
        "on_down",
        "[keep|cut]",
        "what becomes of the connections of a server that goes down",
        Kind::Either(["keep", "cut"], |s| &mut s.cut),
    ),
    spec("pending_max", "number", "accepted, without effect", |w| {
        number::<usize>(one(w)?)?;
        Ok(Command::Nothing)
    }),
    spec("pid", "", "show the process number", |_| Ok(Command::Pid)),
    ignored("poll"),
    switch("prio", "choose the server with the lowest prio", |s| &mut s.modes.prio),
    spec("recent", "[seconds]", "clients of the last seconds (300)", |w| {
        Ok(Command::Recent(maybe(w)?.unwrap_or(300)))
    }),
    seconds("resolve", ANY, "time between two look-ups of servers' names; 0 = no more", |s| {
        &mut s.resolve
    }),
    spec("restart", "", "start the program again, without losing a connection", |_| {
        Ok(Command::Restart)
    }),
    switch("roundrobin", "servers in turn, no client tracking", |s| &mut s.modes.roundrobin),
    ignored("select"),
    spec(
        "server",
        "index [acl list|address host|port port|max n|hard n|blacklist seconds|weight n|prio n|check_port port|state ready|drain|maint|down]...",
        "change a server or add one",
        server,
    )
    .saved(|_| Some(Value::Servers)),
    spec("servers", "", "list the servers", |_| Ok(Command::Servers)),
    seconds("slow_start", ANY, "time until a server that came back gets its whole share", |s| {
        &mut s.slow_start
    }),
    spec("socket", "descriptor", "which connection a socket belongs to", |w| {
        Ok(Command::Socket(number(one(w)?)?))
    }),
    word(
        "source",
        "address",
        "local address of server connections; 0.0.0.0 = any",
        source,
        |s| s.source.map(|ip| ip.to_string()),
        |s, word| s.source = word.and_then(source_address),
    )
    .silent(),
    spec("status", "", "the HTML report", |_| Ok(Command::Status)),
    switch("stubborn", "never fail over", |s| &mut s.modes.stubborn),
    spec("tarpit_acl", "", "not built in", |w| match w.next() {
        None => Ok(Command::TarpitAcl),
        Some(_) => not_built("a tarpit"),
    }),
    word(
        "tcp_fastclose",
        "up|down|both|off",
        "which end closes both sides alone",
        |word| match word {
            None => Err(Bad::Reply("do_cmd: ignoring tcp_fastclose without argument".to_owned())),
            Some(_) => among(word, &Fastclose::ALL.map(Fastclose::word)),
        },
        |s| Some(s.fastclose.word().to_owned()),
        |s, word| {
            let mode = Fastclose::ALL.into_iter().find(|mode| Some(mode.word()) == word);
            s.fastclose = mode.unwrap_or_default();
        },
    )
    .silent(),
    switch("tcp_nodelay", "TCP_NODELAY on both sides", |s| &mut s.nodelay),
    seconds("timeout", (1, LONGEST), "how long a connect may take", |s| &mut s.timeout),
    seconds("tracking", ANY, "how long an absent client is remembered; 0 = for ever", |s| {
        &mut s.tracking
    }),
    word(
        "tracking_prefix",
        "[bits/bits]",
        "bits of IPv4 and IPv6 addresses that count in the client table and the hash",
        read::<Prefix>,
        |s| Some(s.modes.prefix.to_string()),
        |s, word| s.modes.prefix = word.and_then(|word| word.parse().ok()).unwrap_or_default(),
    ),
    switch("transparent", "server connections come from the client's address", |s| {
        &mut s.transparent
    }),
    spec("try", "command", "say ok or refused in a line, then the command's reply", try_line),
    Spec::new(
        "udp_balance",
        "[datagram|flow]",
        "what -U balances in turn: each datagram, or a client port's flow",
        Kind::Either(["flow", "datagram"], |s| &mut s.modes.datagrams),
    ),
    text(
        "web",
        "[[host:]port|/path]",
        "where the web interface is; a port alone is 127.0.0.1's",
        |s| &mut s.web,
    ),
    acl_of("web_acl", "access list for the web interface", |s| &mut s.web_acl),
    path("web_password", "allow control from the web to the user:password in a file", |s| {
        &mut s.web_password
    })
    .silent(),
    path("web_stats", "where the HTML report goes", |s| &mut s.web_stats),
    switch("weight", "choose the server with the fewest connections for its weight", |s| {
        &mut s.modes.weight
    }),
    spec("write", "[file]", "save the configuration", |w| Ok(Command::Write(maybe(w)?))),
];
