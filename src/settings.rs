//! What can be set, with units and defaults. A connection works with the
//! settings that were in force when it came: a change makes a new copy.

use crate::pool::acl::{self, Acl};
use crate::pool::choice::Modes;
use crate::sys::Kind;
use crate::sys::addr::Endpoint;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Which end of a connection takes the other with it as soon as it ends.
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
    /// All there are.
    pub const ALL: [Fastclose; 4] =
        [Fastclose::Off, Fastclose::Up, Fastclose::Down, Fastclose::Both];

    /// The word for it in commands.
    pub fn word(self) -> &'static str {
        match self {
            Fastclose::Off => "off",
            Fastclose::Up => "up",
            Fastclose::Down => "down",
            Fastclose::Both => "both",
        }
    }
}

/// Where requests are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Appended to a file.
    File(PathBuf),
    /// Sent over UDP to a penlogd at `host:port`.
    Network(String),
}

impl LogTarget {
    /// A `:` in it and no `/` at its start means UDP.
    pub fn parse(word: &str) -> LogTarget {
        if word.contains(':') && !word.starts_with('/') {
            LogTarget::Network(word.to_owned())
        } else {
            LogTarget::File(word.into())
        }
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            LogTarget::File(path) => path.display().fmt(f),
            LogTarget::Network(word) => f.write_str(word),
        }
    }
}

/// Where the connection log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnTarget {
    /// Appended to a file.
    File(PathBuf),
    /// To the system log.
    Syslog,
}

impl ConnTarget {
    /// The word `syslog`, or a path.
    pub fn parse(word: &str) -> ConnTarget {
        match word {
            "syslog" => ConnTarget::Syslog,
            path => ConnTarget::File(path.into()),
        }
    }
}

impl fmt::Display for ConnTarget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ConnTarget::File(path) => path.display().fmt(f),
            ConnTarget::Syslog => f.write_str("syslog"),
        }
    }
}

/// Clients that may wait to be accepted unless told otherwise.
pub const BACKLOG: u32 = 500;

/// What is decided once, at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// TCP, or UDP (`-U`).
    pub kind: Kind,
    /// Do not go into the background.
    pub foreground: bool,
    /// Where the process number goes.
    pub pid_file: Option<PathBuf>,
    /// New root directory.
    pub jail: Option<PathBuf>,
    /// Whom to run as.
    pub user: Option<String>,
    /// SCHED_BATCH, where there is such a thing.
    pub batch: bool,
    /// The commands whose values options have given: they hold against those
    /// in the configuration file.
    pub given: Vec<&'static str>,
}

/// Everything that options and commands set, but for the servers and the
/// sizes of the tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How a server is chosen.
    pub modes: Modes,
    /// Hash for the first choice and never remember (`-N`).
    pub forgetful: bool,
    /// How long a server that failed is left alone.
    pub blacklist: Duration,
    /// How long a connect may take.
    pub timeout: Duration,
    /// Time between two checks of a server; zero = no checks.
    pub check: Duration,
    /// How long a check may take.
    pub check_timeout: Duration,
    /// Checks that must succeed in a row before a server that was down is up.
    pub check_rise: u32,
    /// How long it takes until a server that came back gets its whole share of new
    /// clients; zero = at once.
    pub slow_start: Duration,
    /// Checks that must fail in a row before a server that was up is down.
    pub check_fall: u32,
    /// Whether the connections of a server that goes down are ended.
    pub cut: bool,
    /// A client that stays away longer is forgotten; zero = never.
    pub tracking: Duration,
    /// A connection on which nothing moves for longer is closed; zero = never.
    pub idle_timeout: Duration,
    /// The same for one of which one side has ended; zero = never.
    pub half_closed_timeout: Duration,
    /// How long a peer is silent before the system asks whether it is there;
    /// zero = as long as the system likes.
    pub client_keepalive: Duration,
    /// The access lists.
    pub acls: Vec<Acl>,
    /// Which of them clients must pass.
    pub client_acl: usize,
    /// Which of them control connections must pass.
    pub control_acl: usize,
    /// Which of them clients of the web interface must pass.
    pub web_acl: usize,
    /// How much is said (`-d`).
    pub debug: u32,
    /// Dump data as text instead of hex.
    pub ascii: bool,
    /// Add X-Forwarded-For to HTTP requests (`-H`).
    pub http: bool,
    /// SO_KEEPALIVE on server connections.
    pub keepalive: bool,
    /// TCP_NODELAY on both sides.
    pub nodelay: bool,
    /// Which side ends a connection alone.
    pub fastclose: Fastclose,
    /// Local address of server connections.
    pub source: Option<IpAddr>,
    /// Server connections come from the client's address.
    pub transparent: bool,
    /// Answer every client with a fixed page instead of using a server.
    pub dummy: bool,
    /// Request log.
    pub log: Option<LogTarget>,
    /// Connection log.
    pub conn_log: Option<ConnTarget>,
    /// Where the HTML report goes.
    pub web_stats: Option<PathBuf>,
    /// Whether the control command `exit` works.
    pub exit_enabled: bool,
    /// Where to listen, as given.
    pub listen: Option<String>,
    /// Where pen listens, as it turned out; nothing before it does.
    pub own: Option<Endpoint>,
    /// Control address, as given.
    pub control: Option<String>,
    /// Address of the web interface, with a host.
    pub web: Option<String>,
    /// Who may control pen from there.
    pub web_password: Option<PathBuf>,
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// What is decided at the start.
    pub start: Start,
    /// Length of the queue of clients not yet accepted.
    pub backlog: u32,
}

/// A UDP flow without traffic ends after so long, unless `idle_timeout` says
/// otherwise.
const FLOW_IDLE: Duration = Duration::from_secs(60);

impl Settings {
    /// How long a connection or flow may be quiet; `None` = for ever.
    pub fn idle_limit(&self) -> Option<Duration> {
        match (self.idle_timeout, self.start.kind) {
            (Duration::ZERO, Kind::Stream) => None,
            (Duration::ZERO, Kind::Datagram) => Some(FLOW_IDLE),
            (limit, _) => Some(limit),
        }
    }

    /// How long a connection may be quiet of which one side has ended; `None` =
    /// as long as any.
    pub fn half_closed_limit(&self) -> Option<Duration> {
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
            check_rise: 2,
            slow_start: Duration::ZERO,
            check_fall: 3,
            cut: false,
            tracking: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            half_closed_timeout: Duration::ZERO,
            client_keepalive: Duration::from_secs(120),
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
            dummy: false,
            log: None,
            conn_log: None,
            web_stats: None,
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
                given: Vec::new(),
            },
            backlog: BACKLOG,
        }
    }
}
