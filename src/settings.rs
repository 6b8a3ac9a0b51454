//! The settings, with units and defaults. A change makes a new copy of them; a
//! connection keeps the copy that was in force when it was accepted.

use crate::pool::acl::{self, Acl};
use crate::pool::choice::Modes;
use crate::pool::prefix::Prefix;
use crate::proxy_protocol::SendProxy;
use crate::sys::Kind;
use crate::sys::addr::Endpoint;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Which end of a connection closes the whole connection when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fastclose {
    /// Neither: the connection lives until both have ended.
    #[default]
    Off,
    /// The server.
    Up,
    /// The client.
    Down,
    /// Either.
    Both,
}

impl Fastclose {
    /// All values.
    pub(crate) const ALL: [Fastclose; 4] =
        [Fastclose::Off, Fastclose::Up, Fastclose::Down, Fastclose::Both];

    /// Returns the word for it in commands.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Fastclose::Off => "off",
            Fastclose::Up => "up",
            Fastclose::Down => "down",
            Fastclose::Both => "both",
        }
    }
}

/// So many connections in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub(crate) count: u32,
    /// In how many seconds.
    pub(crate) seconds: u32,
}

impl Rate {
    /// Each connection's share of the time and the shares of all, in microseconds.
    pub(crate) fn micros(self) -> (u64, u64) {
        let count = u64::from(self.count.max(1));
        let share = (u64::from(self.seconds) * 1_000_000 / count).max(1);
        (share, share * count)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.seconds)
    }
}

impl FromStr for Rate {
    type Err = ();

    fn from_str(word: &str) -> Result<Rate, ()> {
        let (count, seconds) = word.split_once('/').ok_or(())?;
        match (count.parse(), seconds.parse()) {
            (Ok(count @ 1..), Ok(seconds @ 1..=86_400)) => Ok(Rate { count, seconds }),
            _ => Err(()),
        }
    }
}

/// How many clients may wait to be accepted, without `-q`.
pub(crate) const BACKLOG: u32 = 500;

/// What the command line decides for the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// TCP, or UDP (`-U`).
    pub kind: Kind,
    /// pen stays in the foreground (`-f`).
    pub foreground: bool,
    /// The file for the process number (`-p`).
    pub pid_file: Option<PathBuf>,
    /// The directory to chroot to (`-j`).
    pub jail: Option<PathBuf>,
    /// The name or number of the user to run as (`-u`).
    pub user: Option<String>,
    /// pen asks for SCHED_BATCH, where the system has it.
    pub batch: bool,
    /// pen gives up the rights that it does not need (off with `--no-sandbox`).
    pub sandbox: bool,
    /// The commands whose values options have given. These override the commands in the
    /// configuration file.
    pub given: Vec<&'static str>,
}

/// Everything that options and commands set, except the servers and the sizes of the
/// tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How a server is chosen.
    pub modes: Modes,
    /// pen never remembers a client's server (`-N`).
    pub forgetful: bool,
    /// How long a server gets no clients after a failure.
    pub blacklist: Duration,
    /// How long a connect may take.
    pub timeout: Duration,
    /// Time between two checks of a server; zero = no checks.
    pub check: Duration,
    /// How long a check may take.
    pub check_timeout: Duration,
    /// The path that a check asks a server for by HTTP, and behind a blank the status
    /// that is good, if there is only one.
    pub check_http: Option<String>,
    /// What a check sends, with escapes.
    pub check_send: Option<String>,
    /// What a server's answer to a check begins with, with escapes.
    pub check_expect: Option<String>,
    /// The program that checks a server.
    pub check_program: Option<PathBuf>,
    /// Checks that must succeed in a row before a server that was down is up.
    pub check_rise: u32,
    /// How long it takes until a server that came back gets its whole share of new
    /// clients; zero = at once.
    pub slow_start: Duration,
    /// Checks that must fail in a row before a server that was up is down.
    pub check_fall: u32,
    /// The program that is run when the state of a server changes.
    pub on_change: Option<PathBuf>,
    /// Whether the connections of a server that goes down are ended.
    pub cut: bool,
    /// Time between two look-ups of a server's name; zero = it is not looked up again.
    pub resolve: Duration,
    /// Each address of a server's name is a server.
    pub expand: bool,
    /// pen forgets a client that has not connected for longer than this; zero = never.
    pub tracking: Duration,
    /// pen closes a connection that transfers nothing for longer than this; zero = never.
    pub idle_timeout: Duration,
    /// The same for a connection of which one side has ended; zero = never.
    pub half_closed_timeout: Duration,
    /// How long connections may take to finish when pen is to end; zero = it ends at
    /// once, or if another process has taken over, they have as long as they like.
    pub drain_timeout: Duration,
    /// How long pen listens on then, while its health check fails already.
    pub lame_duck: Duration,
    /// How long a peer is silent before the system sends keep-alive probes; zero = the
    /// system's default.
    pub client_keepalive: Duration,
    /// Most connections at once of a client, 0 = no limit.
    pub client_conn_max: u32,
    /// How often a client may connect.
    pub client_rate: Option<Rate>,
    /// What is one client for these limits.
    pub limit_prefix: Prefix,
    /// The access lists.
    pub acls: Vec<Acl>,
    /// The number of the access list for clients.
    pub client_acl: usize,
    /// The number of the access list for control connections.
    pub control_acl: usize,
    /// The number of the access list for clients of the web interface.
    pub web_acl: usize,
    /// How often `-d` was given: how much pen logs.
    pub debug: u32,
    /// Dumps show data as text instead of hex.
    pub ascii: bool,
    /// pen adds X-Forwarded-For and X-Forwarded-Proto to HTTP requests (`-H`).
    pub http: bool,
    /// Server connections have SO_KEEPALIVE.
    pub keepalive: bool,
    /// Both sides have TCP_NODELAY.
    pub nodelay: bool,
    /// Which end closes the whole connection.
    pub fastclose: Fastclose,
    /// The local address of server connections.
    pub source: Option<IpAddr>,
    /// Server connections come from the client's address.
    pub transparent: bool,
    /// Each connection or datagram of a client begins with a PROXY header.
    pub accept_proxy: bool,
    /// The number of the access list for those who send these headers.
    pub proxy_acl: usize,
    /// The PROXY header for servers that have no setting of their own.
    pub send_proxy: SendProxy,
    /// pen answers every client with a fixed page and uses no server.
    pub dummy: bool,
    /// The file of the request log, or a penlogd ([`crate::proxy::log::Destination`]).
    pub log: Option<String>,
    /// The file of the connection log, or `syslog`.
    pub conn_log: Option<String>,
    /// Where the HTML report goes.
    pub web_stats: Option<PathBuf>,
    /// The file that says whether pen can serve a client.
    pub health_file: Option<PathBuf>,
    /// The file that keeps the client table, and how often ([`crate::proxy::state::place`]).
    pub state: Option<String>,
    /// The control command `exit` works (`-X`).
    pub exit_enabled: bool,
    /// The listening address, as given.
    pub listen: Option<String>,
    /// The address at which pen really listens; `None` until it does.
    pub own: Option<Endpoint>,
    /// The control address, as given (`-C`).
    pub control: Option<String>,
    /// The address of the web interface, with a host.
    pub web: Option<String>,
    /// The file with the user and password that may control pen there.
    pub web_password: Option<PathBuf>,
    /// The configuration file (`-F`).
    pub config: Option<PathBuf>,
    /// What the command line decides for the whole run.
    pub start: Start,
    /// How many clients may wait to be accepted (`-q`).
    pub backlog: u32,
}

/// How long a UDP flow without traffic lasts if `idle_timeout` is not set.
const FLOW_IDLE: Duration = Duration::from_secs(60);

impl Settings {
    /// Whether the names of servers mean more than the addresses that they have now, so
    /// that `write` saves names.
    pub(crate) fn keeps_names(&self) -> bool {
        self.expand || !self.resolve.is_zero()
    }

    /// Returns how long a connection or flow may transfer nothing; `None` = for ever.
    pub(crate) fn idle_limit(&self) -> Option<Duration> {
        match (self.idle_timeout, self.start.kind) {
            (Duration::ZERO, Kind::Stream) => None,
            (Duration::ZERO, Kind::Datagram) => Some(FLOW_IDLE),
            (limit, _) => Some(limit),
        }
    }

    /// Returns how long a connection of which one side has ended may transfer nothing;
    /// `None` = as long as any other.
    pub(crate) fn half_closed_limit(&self) -> Option<Duration> {
        Some(self.half_closed_timeout).filter(|limit| !limit.is_zero())
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            modes: Modes::default(),
            forgetful: false,
            blacklist: Duration::from_secs(30),
            timeout: Duration::from_secs(3),
            check: Duration::ZERO,
            check_timeout: Duration::from_secs(3),
            check_http: None,
            check_send: None,
            check_expect: None,
            check_program: None,
            check_rise: 2,
            slow_start: Duration::ZERO,
            check_fall: 3,
            on_change: None,
            cut: false,
            resolve: Duration::ZERO,
            expand: false,
            tracking: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            half_closed_timeout: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            lame_duck: Duration::ZERO,
            client_keepalive: Duration::from_secs(120),
            client_conn_max: 0,
            client_rate: None,
            limit_prefix: Prefix::HOST,
            acls: vec![Acl::default(); acl::LISTS],
            client_acl: 0,
            control_acl: 0,
            web_acl: 0,
            debug: 0,
            ascii: false,
            http: false,
            keepalive: false,
            nodelay: true,
            fastclose: Fastclose::Off,
            source: None,
            transparent: false,
            accept_proxy: false,
            proxy_acl: 0,
            send_proxy: SendProxy::Off,
            dummy: false,
            log: None,
            conn_log: None,
            web_stats: None,
            health_file: None,
            state: None,
            exit_enabled: false,
            listen: None,
            own: None,
            control: None,
            web: None,
            web_password: None,
            config: None,
            start: Start {
                kind: Kind::Stream,
                foreground: false,
                pid_file: None,
                jail: None,
                user: None,
                batch: true,
                sandbox: true,
                given: Vec::new(),
            },
            backlog: BACKLOG,
        }
    }
}
