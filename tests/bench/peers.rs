//! The load balancers that are compared and the back ends behind them: who
//! they are, where they are, starting them.
//!
//! All send clients to the two back ends in turn, unless a work says
//! otherwise: the load generators have one address, so with client tracking
//! one back end would do everything. socat knows one server only.

use crate::config;
use crate::keeper::{Keeper, Kept};
use crate::measure;
use crate::sink;
use crate::tools::Tools;
use crate::udp;
use pen::sys::{Resource, raise_limit};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the file that bulk downloads fetch.
pub(crate) const BULK: u64 = 64 * 1024 * 1024;

/// Where it is.
pub(crate) const BULK_PATH: &str = "/bulk";

/// Connections at the same time that are aimed at.
const MOST: usize = 10_000;

/// How long a load balancer may take to serve its first client.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom a client talks to. The order is that of the columns and the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Ours,
    CPen,
    HaProxy,
    Nginx,
    Socat,
    Direct,
}

impl Who {
    pub(crate) const ALL: [Who; 6] =
        [Who::Ours, Who::CPen, Who::HaProxy, Who::Nginx, Who::Socat, Who::Direct];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Ours => "pen",
            Who::CPen => "C pen",
            Who::HaProxy => "HAProxy",
            Who::Nginx => "nginx",
            Who::Socat => "socat",
            Who::Direct => "direct",
        }
    }
}

/// What clients and servers speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Udp,
}

/// What stands behind a load balancer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// The two back ends.
    Web,
    /// The same with a third between them, where nobody listens.
    OneDown,
    /// The two back ends, as often as it takes to have so many servers, which
    /// weigh the same.
    Many(usize),
    /// The one that takes uploads.
    Sink,
    /// The two for UDP.
    Echoes,
}

/// A load balancer, running.
pub(crate) struct Peer {
    pub(crate) who: Who,
    pub(crate) address: SocketAddr,
    /// From the start of the process to the first client served.
    pub(crate) start_ms: f64,
    process: Option<Kept>,
}

impl Peer {
    /// Its process, if there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Kept::pid)
    }
}

/// The directory, the addresses and the back ends of one run.
pub(crate) struct Site {
    pub(crate) tools: Tools,
    pub(crate) directory: PathBuf,
    /// Connections through a load balancer that open files suffice for.
    pub(crate) capacity: usize,
    /// Where everything of this run listens.
    host: Ipv4Addr,
    next_port: Cell<u16>,
    // Dropped in this order: processes, then the directory by the keeper.
    servers: Vec<Kept>,
    keeper: Keeper,
}

/// Options that make a pen take its servers in turn, with room for the most
/// connections that a load generator makes.
pub(crate) const IN_TURN: &[&str] = &["-r", "-x", "1200", "-q", config::BACKLOG];

/// The same while a server is down. The C pen closes the clients of a server
/// that refuses, but with `-P` (poll in place of epoll) it tries the next one.
pub(crate) const FAIL_OVER: &[&str] = &["-P", "-r", "-x", "1200", "-q", config::BACKLOG];

/// Options of both pens for UDP, with room for the most clients.
const UDP: &[&str] = &["-U", "-r", "-x", "2000", "-c", "2048"];

const BACK_ENDS: [u16; 2] = [8001, 8002];
const SINK: u16 = 8003;
/// Nobody listens here.
const NOBODY: u16 = 8009;

impl Site {
    /// Makes the directory and starts the back ends.
    pub(crate) fn build(tools: Tools) -> Result<Site, String> {
        // The programs started here inherit the limit.
        let files = raise_limit(Resource::Files).map_err(|e| format!("open files: {e}"))?;
        let id = std::process::id();
        let directory = std::env::temp_dir().join(format!("pen-bench-{id}"));
        let cannot = |e| format!("{}: {e}", directory.display());
        let keeper = Keeper::start(Some(&directory)).map_err(cannot)?;
        fs::create_dir(&directory).map_err(cannot)?;
        write_bulk(&directory.join(BULK_PATH.trim_start_matches('/'))).map_err(cannot)?;
        // An address of its own keeps two runs at the same time apart: pen's
        // listeners share a port without a word.
        let [_, _, high, low] = id.to_be_bytes();
        let mut site = Site {
            tools,
            directory,
            capacity: capacity(files),
            host: Ipv4Addr::new(127, 64 | (high & 63), low, 1),
            next_port: Cell::new(10_000), // below the ports of outgoing connections
            servers: Vec::new(),
            keeper,
        };
        for port in BACK_ENDS {
            let at = site.at(port);
            let server = site.nginx(&config::back_end(&site.directory, at, site.capacity), port)?;
            site.servers.push(server);
            first_answer(at, Over::Tcp, Instant::now(), None)?;
        }
        Ok(site)
    }

    /// Starts the back end that takes uploads.
    pub(crate) fn add_sink(&mut self) -> Result<(), String> {
        self.add(sink::ROLE, SINK, SINK, Over::Tcp)
    }

    /// Starts the back ends for UDP, which have the addresses of the others.
    pub(crate) fn add_echoes(&mut self) -> Result<(), String> {
        // Its messages are not to go where nginx writes.
        let mut ports = BACK_ENDS.into_iter();
        ports.try_for_each(|port| self.add(udp::ECHO, port, port + 10, Over::Udp))
    }

    /// Starts a back end that is a copy of this program.
    fn add(&mut self, role: &str, port: u16, log: u16, over: Over) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let at = self.at(port);
        let mut command = Command::new(program);
        command.arg(role).arg(at.to_string());
        let mut server = self.run(command, log)?;
        first_answer(at, over, Instant::now(), Some(&mut server))?;
        self.servers.push(server);
        Ok(())
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.host, port))
    }

    /// Who can be started.
    pub(crate) fn present(&self) -> Vec<Who> {
        Who::ALL
            .into_iter()
            .filter(|who| match who {
                Who::Ours | Who::Direct => true,
                Who::CPen => self.tools.c_pen.is_some(),
                Who::HaProxy => self.tools.haproxy.is_some(),
                Who::Nginx => self.tools.stream.is_some(),
                Who::Socat => self.tools.socat.is_some(),
            })
            .collect()
    }

    /// The addresses of the servers, and what they speak.
    fn servers(&self, behind: Behind) -> (Vec<SocketAddr>, Over) {
        let [first, second] = BACK_ENDS.map(|port| self.at(port));
        let servers = match behind {
            Behind::Web | Behind::Echoes => vec![first, second],
            Behind::OneDown => vec![first, self.at(NOBODY), second],
            Behind::Many(count) => [first, second].into_iter().cycle().take(count).collect(),
            Behind::Sink => vec![self.at(SINK)],
        };
        let over = match behind {
            Behind::Echoes => Over::Udp,
            _ => Over::Tcp,
        };
        (servers, over)
    }

    /// An address that nobody has yet.
    pub(crate) fn another(&self) -> SocketAddr {
        let port = self.next_port.get();
        self.next_port.set(port + 1);
        self.at(port)
    }

    /// Starts one at an address of its own and waits until it serves.
    /// `options` are for the two pens.
    pub(crate) fn start(&self, who: Who, behind: Behind, options: &[&str]) -> Result<Peer, String> {
        let (servers, over) = self.servers(behind);
        let first = *servers.first().ok_or("no servers")?;
        if who == Who::Direct {
            let (start_ms, process) = (0.0, None);
            return Ok(Peer { who, address: first, start_ms, process });
        }
        let address = self.another();
        let port = address.port();
        let start = Instant::now();
        let process = match who {
            Who::Ours | Who::CPen => {
                let program = match who {
                    Who::Ours => Path::new(env!("CARGO_BIN_EXE_pen")),
                    _ => need(&self.tools.c_pen)?,
                };
                let weight = match behind {
                    Behind::Many(_) => ":0:0:1",
                    _ => "",
                };
                let mut command = Command::new(program);
                command.arg("-f").args(options).arg(address.to_string());
                command.args(servers.iter().map(|server| format!("{server}{weight}")));
                self.run(command, port)
            }
            Who::HaProxy => {
                let checked = behind == Behind::OneDown;
                let text = config::haproxy(address, &servers, checked, self.capacity);
                self.haproxy(&text, port)
            }
            Who::Nginx => {
                let module = self.tools.stream.as_deref().ok_or("no stream module")?;
                let text = config::stream(module, over, address, &servers, self.capacity);
                self.nginx(&text, port)
            }
            Who::Socat | Who::Direct => {
                let mut command = Command::new(need(&self.tools.socat)?);
                command.args(config::socat(address, first));
                self.run(command, port)
            }
        };
        let mut process = process.map_err(|why| format!("{}: {why}", who.name()))?;
        let start_ms = first_answer(address, over, start, Some(&mut process))
            .map_err(|why| format!("{}: {why}{}", who.name(), self.last_words(port)))?;
        Ok(Peer { who, address, start_ms, process: Some(process) })
    }

    /// The same for UDP. HAProxy has none.
    pub(crate) fn start_udp(&self, who: Who) -> Result<Peer, String> {
        self.start(who, Behind::Echoes, UDP)
    }

    /// Short connections for a second, with `ab`.
    pub(crate) fn ab(
        &self,
        to: SocketAddr,
        count: u32,
        from: Option<Ipv4Addr>,
    ) -> Result<measure::Ab, String> {
        measure::ab(need(&self.tools.ab)?, &self.directory, to, count, from)
    }

    /// Requests a second over connections that stay, with `wrk`.
    pub(crate) fn wrk(&self, to: SocketAddr, count: u32, seconds: u32) -> Result<f64, String> {
        measure::wrk(need(&self.tools.wrk)?, to, count, seconds)
    }

    fn haproxy(&self, text: &str, port: u16) -> Result<Kept, String> {
        let file = self.file(port, "cfg", text)?;
        let mut command = Command::new(need(&self.tools.haproxy)?);
        command.args(["-db", "-q", "-f"]).arg(file);
        self.run(command, port)
    }

    fn nginx(&self, text: &str, port: u16) -> Result<Kept, String> {
        let text = text.to_owned() + &config::nginx_common(&self.directory, port, self.capacity);
        let file = self.file(port, "conf", &text)?;
        let mut command = Command::new(&self.tools.nginx);
        // -e: else it complains of a default log that others may not open.
        command.args(["-e", "stderr", "-p"]).arg(&self.directory);
        command.arg("-c").arg(file);
        self.run(command, port)
    }

    fn file(&self, port: u16, kind: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.directory.join(format!("{port}.{kind}"));
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    /// Starts a program whose messages go to a file.
    fn run(&self, mut command: Command, port: u16) -> Result<Kept, String> {
        let log = self.directory.join(format!("{port}.log"));
        let log = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log);
        let spawned = self.keeper.spawn(&mut command);
        spawned.map_err(|e| format!("{:?}: {e}", command.get_program()))
    }

    /// The end of what a program said.
    fn last_words(&self, port: u16) -> String {
        let log = self.directory.join(format!("{port}.log"));
        let text = fs::read_to_string(log).unwrap_or_default();
        text.lines().last().map_or_else(String::new, |line| format!("; it said: {line}"))
    }
}

/// Connections that so many open files suffice for, two for each: what is
/// aimed at, or as many thousands as there can be.
fn capacity(files: u64) -> usize {
    let pairs = usize::try_from(files.saturating_sub(200) / 2).unwrap_or(usize::MAX);
    match pairs {
        0..1000 => pairs,
        _ => MOST.min(pairs - pairs % 1000),
    }
}

fn need(tool: &Option<PathBuf>) -> Result<&Path, String> {
    tool.as_deref().ok_or_else(|| "not installed".to_owned())
}

/// Bytes on the disk, as a file with holes is read faster than a real one.
fn write_bulk(path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in 0..BULK / 16 {
        writeln!(file, "{line:015x}")?;
    }
    file.flush()
}

/// Milliseconds from `start` until a client at `address` has its answer.
fn first_answer(
    address: SocketAddr,
    over: Over,
    start: Instant,
    mut process: Option<&mut Kept>,
) -> Result<f64, String> {
    loop {
        let answer = match over {
            Over::Tcp => TcpStream::connect(address).and_then(measure::ask_once),
            Over::Udp => udp::ask(address),
        };
        if answer.is_ok() {
            return Ok(start.elapsed().as_secs_f64() * 1000.0);
        }
        if process.as_mut().is_some_and(|process| process.has_ended()) {
            return Err("it ended at once".to_owned());
        }
        if let Some(why) = answer.err().filter(|_| start.elapsed() > PATIENCE) {
            return Err(format!("does not serve at {address}: {why}"));
        }
        thread::sleep(Duration::from_micros(200));
    }
}
