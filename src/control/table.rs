//! The one table of control commands: a new setting is a row here and a field
//! of [`Settings`].

use super::commands;
use super::edit::LONGEST;
use super::parse::{
    Bad, Command, Parsed, Words, acl_entry, among, escapes, explain, forget, http_check, idlers,
    list, maybe, not_built, nothing, number, one, read, server, source, source_address, state_file,
    try_line,
};
use super::row::{Kind, Spec, Value};
use crate::pool::prefix::Prefix;
use crate::pool::server::Server;
use crate::proxy::servers::Table;
use crate::proxy::shared::Pen;
use crate::proxy_protocol::SendProxy;
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
    spec("abuse", "[host:port]", "use this server for clients that client_acl denies", |w| {
        Ok(Command::Abuse(maybe(w)?))
    })
    .saved(|pen| last_resort(pen, |table| table.abuse.as_ref())),
    switch("accept_proxy", "expect a PROXY header from each client", |s| {
        &mut s.accept_proxy
    }),
    spec(
        "acl",
        "list permit|deny address [mask] | address/length",
        "add an entry to an access list, 0 to 9",
        |w| if w.no { Ok(Command::AclClear(list(one(w)?)?)) } else { acl_entry(w) },
    )
    .or_no("list"),
    switch("ascii", "show the data of debug 3 as text", |s| &mut s.ascii),
    seconds("blacklist", ANY, "leave a server that failed alone this long", |s| &mut s.blacklist),
    ignored("block").or_no(""),
    seconds("check", ANY, "check each server this often; 0 = never", |s| &mut s.check),
    text("check_expect", "[text]", "expect a server's answer to begin with this", |s| {
        &mut s.check_expect
    })
    .checked(escapes),
    whole("check_fall", "take a server out after this many failed checks", |s| &mut s.check_fall),
    text(
        "check_http",
        "[path [status]]",
        "ask servers for this path; without status, 2xx and 3xx are good",
        |s| &mut s.check_http,
    )
    .checked(http_check),
    path("check_program", "check servers with a program", |s| &mut s.check_program),
    whole("check_rise", "bring a server back after this many good checks", |s| &mut s.check_rise),
    text("check_send", "[text]", "send this to a server as a check", |s| &mut s.check_send)
        .checked(escapes),
    seconds("check_timeout", (1, LONGEST), "let a check take this long", |s| &mut s.check_timeout),
    acl_of("client_acl", "use this access list for clients", |s| &mut s.client_acl),
    whole("client_conn_max", "let a client have this many connections; 0 = no limit", |s| {
        &mut s.client_conn_max
    }),
    seconds(
        "client_keepalive",
        (0, sys::LONGEST_KEEP_ALIVE),
        "probe clients silent for longer; 0 = as the system",
        |s| &mut s.client_keepalive,
    ),
    word(
        "client_rate",
        "[number/seconds]",
        "let a client have this many new connections in a time",
        read::<Rate>,
        |s| s.client_rate.map(|rate| rate.to_string()),
        |s, word| s.client_rate = word.and_then(|word| word.parse().ok()),
    )
    .or_no(""),
    spec("clients_max", "[number]", "remember this many clients; only grows", |w| {
        Ok(Command::ClientsMax(maybe(w)?))
    })
    .saved(|pen| count(pen.with_clients(|clients| clients.max()))),
    spec("close", "connection", "end a connection", |w| Ok(Command::Close(number(one(w)?)?))),
    text("conn_log", "[file | syslog]", "log each connection at its end", |s| {
        &mut s.conn_log
    }),
    spec("conn_max", "[number]", "serve this many connections at once; only grows", |w| {
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
    acl_of("control_acl", "use this access list for control connections", |s| &mut s.control_acl),
    Spec::new("debug", "[level]", "say more, 0 to 3", Kind::Number(|s| &mut s.debug)),
    ignored("delayed_forward").or_no(""),
    seconds("drain_timeout", ANY, "let connections finish for this long at the end", |s| {
        &mut s.drain_timeout
    }),
    spec("dsr_if", "interface", "refused, not built in", |_| not_built("direct server return")),
    switch("dummy", "answer every client with a fixed page", |s| &mut s.dummy),
    spec("emergency", "[host:port]", "use this server when no other is available", |w| {
        Ok(Command::Emergency(maybe(w)?))
    })
    .saved(|pen| last_resort(pen, |table| table.emergency.as_ref())),
    ignored("epoll"),
    spec("exit", "", "end pen, if it was started with -X", |_| Ok(Command::Exit)),
    switch("expand", "make each address of a server's name a server", |s| &mut s.expand),
    spec("explain", "client [port]", "show which server a client would get, and why", explain),
    spec("forget", "[client|server index]", "forget which server clients used", forget),
    seconds(
        "half_closed_timeout",
        ANY,
        "close half-closed connections idle for longer; 0 = never",
        |s| &mut s.half_closed_timeout,
    ),
    switch("hash", "choose first by a hash of the client's address", |s| &mut s.modes.hash),
    Spec::new(
        "hash_type",
        "[modulo|rendezvous]",
        "hash as the C program does, or evenly (rendezvous)",
        Kind::Either(["rendezvous", "modulo"], |s| &mut s.modes.modulo),
    ),
    path("health_file", "write 0 or -254 there: pen can serve clients, or not", |s| {
        &mut s.health_file
    }),
    spec("help", "", "list the commands", |_| Ok(Command::Help)),
    switch("http", "add X-Forwarded-For to HTTP requests", |s| &mut s.http),
    // pen quirk: this reply names the setting and its unit.
    seconds("idle_timeout", ANY, "close connections idle for longer; 0 = never", |s| {
        &mut s.idle_timeout
    })
    .between("Idle timeout: ", " seconds"),
    spec("idlers", "[number]", "keep this many spare connections to servers open", idlers)
        .saved(|pen| count(pen.idlers.count().1)),
    spec("include", "file", "carry out the commands in a file", |w| {
        Ok(Command::Include(one(w)?.into()))
    }),
    switch("keepalive", "probe silent servers, too (TCP keep-alive)", |s| &mut s.keepalive),
    ignored("kqueue"),
    seconds("lame_duck", ANY, "listen on for this long after TERM (drain_timeout)", |s| {
        &mut s.lame_duck
    }),
    word(
        "limit_prefix",
        "[bits/bits]",
        "take a network for one client of these limits",
        read::<Prefix>,
        |s| Some(s.limit_prefix.to_string()),
        |s, word| s.limit_prefix = word.and_then(|word| word.parse().ok()).unwrap_or(Prefix::HOST),
    ),
    // `write` saves it in the command line, not as a command.
    Spec::new("listen", "[address]", "listen at this address instead", Kind::Text(|s| &mut s.listen))
        .saved(|_| None),
    text("log", "[file | host:port]", "log requests there", |s| &mut s.log),
    Spec::new("mode", "", "show the modes", Kind::Show(commands::mode)),
    path("on_change", "run this program when a server's state changes", |s| {
        &mut s.on_change
    }),
    Spec::new(
        "on_down",
        "[keep|cut]",
        "keep or cut the connections of a server that goes down",
        Kind::Either(["keep", "cut"], |s| &mut s.cut),
    ),
    spec("pending_max", "number", "accepted, without effect", |w| {
        number::<usize>(one(w)?)?;
        Ok(Command::Nothing)
    }),
    spec("pid", "", "show the process number", |_| Ok(Command::Pid)),
    ignored("poll"),
    switch("prio", "choose the server with the lowest prio", |s| &mut s.modes.prio),
    acl_of("proxy_acl", "accept PROXY headers from this access list", |s| &mut s.proxy_acl),
    spec("recent", "[seconds]", "show the clients of the last seconds (300)", |w| {
        Ok(Command::Recent(maybe(w)?.unwrap_or(300)))
    }),
    seconds("resolve", ANY, "look servers' names up this often; 0 = once only", |s| {
        &mut s.resolve
    }),
    spec("restart", "", "start the program again, without losing a connection", |_| {
        Ok(Command::Restart)
    }),
    switch("roundrobin", "use the servers in turn, and remember no clients", |s| &mut s.modes.roundrobin),
    ignored("select"),
    word(
        "send_proxy",
        "[v1|v2|off]",
        "send servers a PROXY header",
        |word| among(word, &["v1", "v2", "off"]),
        |s| Some(s.send_proxy.word().to_owned()),
        |s, word| s.send_proxy = word.and_then(SendProxy::parse).unwrap_or_default(),
    ),
    spec(
        "server",
        "index [acl list|address host|port port|max n|hard n|blacklist seconds|weight n|prio n|check_port port|send_proxy v1|v2|off|default|state ready|drain|maint|down]...",
        "change a server or add one",
        server,
    )
    .saved(|_| Some(Value::Servers)),
    spec("servers", "", "list the servers", |_| Ok(Command::Servers)),
    seconds("slow_start", ANY, "give a server that came back its share over this time", |s| {
        &mut s.slow_start
    }),
    spec("socket", "descriptor", "show which connection a socket belongs to", |w| {
        Ok(Command::Socket(number(one(w)?)?))
    }),
    word(
        "source",
        "address",
        "connect to servers from this address; 0.0.0.0 = any",
        source,
        |s| s.source.map(|ip| ip.to_string()),
        |s, word| s.source = word.and_then(source_address),
    )
    .silent(),
    text("state", "[file [seconds]]", "save the client table there, and how often (60)", |s| {
        &mut s.state
    })
    .checked(state_file),
    spec("status", "", "show the HTML report", |_| Ok(Command::Status)),
    switch("stubborn", "never fail over", |s| &mut s.modes.stubborn),
    spec("tarpit_acl", "", "refused, not built in", |w| match w.next() {
        None => Ok(Command::TarpitAcl),
        Some(_) => not_built("a tarpit"),
    }),
    word(
        "tcp_fastclose",
        "up|down|both|off",
        "close both sides when this one has ended",
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
    switch("tcp_nodelay", "pass small pieces on at once (TCP_NODELAY)", |s| &mut s.nodelay),
    seconds("timeout", (1, LONGEST), "let a connect take this long", |s| &mut s.timeout),
    seconds("tracking", ANY, "forget clients that stay away longer; 0 = never", |s| {
        &mut s.tracking
    }),
    word(
        "tracking_prefix",
        "[bits/bits]",
        "take a network for one client of the table and the hash",
        read::<Prefix>,
        |s| Some(s.modes.prefix.to_string()),
        |s, word| s.modes.prefix = word.and_then(|word| word.parse().ok()).unwrap_or_default(),
    ),
    switch("transparent", "connect to servers from the client's address", |s| {
        &mut s.transparent
    }),
    spec("try", "command", "say ok or refused in a line, then the command's reply", try_line),
    Spec::new(
        "udp_balance",
        "[datagram|flow]",
        "balance each datagram, or a client port's flow (-U)",
        Kind::Either(["flow", "datagram"], |s| &mut s.modes.datagrams),
    ),
    text(
        "web",
        "[[host:]port|/path]",
        "open the web interface; a bare port is on 127.0.0.1",
        |s| &mut s.web,
    ),
    acl_of("web_acl", "use this access list for the web interface", |s| &mut s.web_acl),
    path("web_password", "allow control from the web with a file's user:password", |s| {
        &mut s.web_password
    })
    .silent(),
    path("web_stats", "write the HTML report to this file", |s| &mut s.web_stats),
    switch("weight", "choose the fewest connections for the weight", |s| {
        &mut s.modes.weight
    }),
    spec("write", "[file]", "save the configuration", |w| Ok(Command::Write(maybe(w)?))),
];
