//! The one table of control commands.

use super::parse::{
    Command, Guard, Parse, Switch, Timer, acl_choice, acl_entry, fastclose, forget, hash_type,
    idlers, list, maybe, none, not_built, nothing, number, one, server, source, try_line,
    udp_balance,
};
use std::path::PathBuf;

/// A command of the table.
pub struct Spec {
    /// Its word.
    pub name: &'static str,
    /// Its arguments, as `help` and the manual show them.
    pub args: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    pub(super) parse: Parse,
    /// The form with `no` before it, and its arguments.
    pub(super) no: Option<(&'static str, Parse)>,
}

const fn spec(name: &'static str, args: &'static str, help: &'static str, parse: Parse) -> Spec {
    let no = None;
    Spec { name, args, help, parse, no }
}

impl Spec {
    const fn or_no(mut self, no: Parse) -> Spec {
        self.no = Some(("", no));
        self
    }

    const fn or_no_with(mut self, args: &'static str, no: Parse) -> Spec {
        self.no = Some((args, no));
        self
    }

    /// Whether `no` may stand before it.
    pub fn has_no(&self) -> bool {
        self.no.is_some()
    }
}

/// A switch's two forms.
macro_rules! switch {
    ($name:literal, $switch:ident, $help:literal) => {
        spec($name, "", $help, |w| none(w, Command::Switch(Switch::$switch, true)))
            .or_no(|w| none(w, Command::Switch(Switch::$switch, false)))
    };
}

macro_rules! ignored {
    ($name:literal) => {
        spec($name, "", "accepted, without effect", nothing)
    };
    ($name:literal, no) => {
        ignored!($name).or_no(nothing)
    };
}

/// A TIMER command: `name [seconds]`.
macro_rules! timer {
    ($name:literal, $timer:ident, $help:literal) => {
        spec($name, "[seconds]", $help, |w| Ok(Command::Timer(Timer::$timer, maybe(w)?)))
    };
}

/// All commands, in alphabetical order.
pub const TABLE: &[Spec] = &[
    ignored!("abort_on_error", no),
    spec("abuse", "[host:port]", "server for clients that client_acl denies", |w| {
        Ok(Command::Abuse(maybe(w)?))
    }),
    spec(
        "acl",
        "list permit|deny address [mask] | address/length",
        "add an entry to an access list, 0 to 9",
        acl_entry,
    )
    .or_no_with("list", |w| Ok(Command::AclClear(list(one(w)?)?))),
    switch!("ascii", Ascii, "debug dumps as text"),
    timer!("blacklist", Blacklist, "how long a server that failed is left alone"),
    ignored!("block", no),
    spec("client_acl", "[list]", "access list for clients", |w| acl_choice(Guard::Client, w)),
    timer!("client_keepalive", ClientKeepalive, "ask peers silent for longer; 0 = as the system"),
    spec("clients_max", "[number]", "slots in the client table; grows only", |w| {
        Ok(Command::ClientsMax(maybe(w)?))
    }),
    spec("close", "connection", "end a connection", |w| Ok(Command::Close(number(one(w)?)?))),
    spec("conn_log", "[file | syslog]", "where ends of connections are logged", |w| {
        Ok(Command::ConnLog(maybe(w)?))
    })
    .or_no(|w| none(w, Command::NoConnLog)),
    spec("conn_max", "[number]", "most connections at once; grows only", |w| {
        Ok(Command::ConnMax(maybe(w)?))
    }),
    spec("connection", "connection", "show a connection", |w| {
        Ok(Command::Connection(number(one(w)?)?))
    }),
    spec("control", "", "show the control address", |w| none(w, Command::Control)),
    spec("control_acl", "[list]", "access list for control connections", |w| {
        acl_choice(Guard::Control, w)
    }),
    spec("debug", "[level]", "how much is said", |w| Ok(Command::Debug(maybe(w)?))),
    ignored!("delayed_forward", no),
    spec("dsr_if", "interface", "not built in", |_| not_built("direct server return")),
    switch!("dummy", Dummy, "answer every client with a fixed page"),
    spec("emergency", "[host:port]", "server of last resort", |w| {
        Ok(Command::Emergency(maybe(w)?))
    }),
    ignored!("epoll"),
    spec("exit", "", "end pen, if it was started with -X", |w| none(w, Command::Exit)),
    spec("forget", "[client|server index]", "forget which server clients were on", forget),
    timer!(
        "half_closed_timeout",
        HalfClosedTimeout,
        "close half-closed connections quiet for longer; 0 = never"
    ),
    switch!("hash", Hash, "hash on the client address for the first choice"),
    spec(
        "hash_type",
        "[modulo|rendezvous]",
        "how hash chooses: as the C program, or evenly, moving few clients",
        hash_type,
    ),
    spec("help", "", "list the commands", |w| none(w, Command::Help)),
    switch!("http", Http, "add X-Forwarded-For and X-Forwarded-Proto to HTTP requests"),
    timer!("idle_timeout", IdleTimeout, "close connections quiet for longer; 0 = never"),
    spec("idlers", "[number]", "connections kept open to the servers without a client", idlers),
    spec("include", "file", "carry out the commands in a file", |w| {
        Ok(Command::Include(one(w)?.into()))
    }),
    switch!("keepalive", Keepalive, "SO_KEEPALIVE on server connections, too"),
    ignored!("kqueue"),
    spec("listen", "[address]", "where clients connect", |w| Ok(Command::Listen(maybe(w)?))),
    spec("log", "[file | host:port]", "where requests are logged", |w| Ok(Command::Log(maybe(w)?)))
        .or_no(|w| none(w, Command::NoLog)),
    spec("mode", "", "show the modes", |w| none(w, Command::Mode)),
    spec("pending_max", "number", "accepted, without effect", |w| {
        number::<usize>(one(w)?)?;
        Ok(Command::Nothing)
    }),
    spec("pid", "", "show the process number", |w| none(w, Command::Pid)),
    ignored!("poll"),
    switch!("prio", Prio, "choose the server with the lowest prio"),
    spec("recent", "[seconds]", "clients of the last seconds (300)", |w| {
        Ok(Command::Recent(maybe(w)?.unwrap_or(300)))
    }),
    switch!("roundrobin", Roundrobin, "servers in turn, no client tracking"),
    ignored!("select"),
    spec(
        "server",
        "index [acl list|address host|port port|max n|hard n|blacklist seconds|weight n|prio n]...",
        "change a server or add one",
        server,
    ),
    spec("servers", "", "list the servers", |w| none(w, Command::Servers)),
    spec("socket", "descriptor", "which connection a socket belongs to", |w| {
        Ok(Command::Socket(number(one(w)?)?))
    }),
    spec("source", "address", "local address of server connections; 0.0.0.0 = any", source),
    spec("status", "", "the HTML report", |w| none(w, Command::Status)),
    switch!("stubborn", Stubborn, "never fail over"),
    spec("tarpit_acl", "", "not built in", |w| match w.next() {
        None => Ok(Command::TarpitAcl),
        Some(_) => not_built("a tarpit"),
    }),
    spec("tcp_fastclose", "up|down|both|off", "which end closes both sides alone", fastclose),
    switch!("tcp_nodelay", TcpNodelay, "TCP_NODELAY on both sides"),
    timer!("timeout", Timeout, "how long a connect may take"),
    timer!("tracking", Tracking, "how long an absent client is remembered; 0 = for ever"),
    switch!("transparent", Transparent, "server connections come from the client's address"),
    spec("try", "command", "say ok or refused in a line, then the command's reply", try_line),
    spec(
        "udp_balance",
        "[datagram|flow]",
        "what -U balances in turn: each datagram, or a client port's flow",
        udp_balance,
    ),
    spec(
        "web",
        "[[host:]port|/path]",
        "where the web interface is; a port alone is 127.0.0.1's",
        |w| Ok(Command::Web(maybe(w)?)),
    )
    .or_no(|w| none(w, Command::NoWeb)),
    spec("web_acl", "[list]", "access list for the web interface", |w| acl_choice(Guard::Web, w)),
    spec(
        "web_password",
        "[file]",
        "allow control from the web to the user:password in a file",
        |w| Ok(Command::WebPassword(maybe(w)?)),
    )
    .or_no(|w| none(w, Command::NoWebPassword)),
    spec("web_stats", "[file]", "where the HTML report goes", |w| {
        Ok(Command::WebStats(maybe::<PathBuf>(w)?))
    })
    .or_no(|w| none(w, Command::NoWebStats)),
    switch!("weight", Weight, "choose the server with the fewest connections for its weight"),
    spec("write", "[file]", "save the configuration", |w| Ok(Command::Write(maybe::<PathBuf>(w)?))),
];
