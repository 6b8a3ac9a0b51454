//! The load balancers that are compared, each with the configuration its
//! manual advises for this work, and the back ends behind them.
//!
//! All send clients to the two back ends in turn, unless a work says
//! otherwise: the load generators have one address, so with client tracking
//! one back end would do everything.

use crate::keeper::{Keeper, Kept};
use crate::measure;
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

/// How long a load balancer may take to serve its first client.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom a client talks to. The order is that of the columns and the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Ours,
    CPen,
    HaProxy,
    Nginx,
    Direct,
}

impl Who {
    pub(crate) const ALL: [Who; 5] = [Who::Ours, Who::CPen, Who::HaProxy, Who::Nginx, Who::Direct];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Ours => "pen",
            Who::CPen => "C pen",
            Who::HaProxy => "HAProxy",
            Who::Nginx => "nginx",
            Who::Direct => "direct",
        }
    }
}

/// What clients and servers speak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Tcp,
    Udp,
}

/// One of them, running.
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
    back_ends: [SocketAddr; 2],
    next_port: Cell<u16>,
    // Dropped in this order: processes, then the directory by the keeper.
    _servers: Vec<Kept>,
    keeper: Keeper,
}

/// Options that make a pen take its servers in turn.
pub(crate) const IN_TURN: &[&str] = &["-r"];

/// Options of both pens for UDP, with room for the largest crowd.
const UDP: &[&str] = &["-U", "-r", "-x", "2000", "-c", "2048"];

impl Site {
    /// Makes the directory and starts the back ends.
    pub(crate) fn build(tools: Tools) -> Result<Site, String> {
        // The programs started here inherit the limit.
        let files = raise_limit(Resource::Files).map_err(|e| format!("open files: {e}"))?;
        let capacity = usize::try_from(files.saturating_sub(200) / 2).unwrap_or(usize::MAX);
        let id = std::process::id();
        let directory = std::env::temp_dir().join(format!("pen-bench-{id}"));
        let cannot = |e| format!("{}: {e}", directory.display());
        let keeper = Keeper::start(Some(&directory)).map_err(cannot)?;
        fs::create_dir(&directory).map_err(cannot)?;
        write_bulk(&directory.join(BULK_PATH.trim_start_matches('/'))).map_err(cannot)?;
        // An address of its own keeps two runs at the same time apart: pen's
        // listeners share a port without a word.
        let [_, _, high, low] = id.to_be_bytes();
        let host = Ipv4Addr::new(127, 64 | (high & 63), low, 1);
        let back_ends = [8001, 8002].map(|port| SocketAddr::from((host, port)));
        let mut site = Site {
            tools,
            directory,
            capacity: capacity.min(9000),
            back_ends,
            next_port: Cell::new(10_000), // below the ports of outgoing connections
            _servers: Vec::new(),
            keeper,
        };
        for at in back_ends {
            let server = site.nginx(&back_end(&site.directory, at, site.capacity), at.port())?;
            site._servers.push(server);
            first_answer(at, Over::Tcp, Instant::now(), None)?;
        }
        Ok(site)
    }

    /// Starts the back ends for UDP, which have the same addresses.
    pub(crate) fn add_echoes(&mut self) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        for at in self.back_ends {
            let mut command = Command::new(&program);
            command.arg(udp::ECHO).arg(at.to_string());
            // Its messages are not to go where nginx writes.
            let mut server = self.run(command, at.port() + 10)?;
            first_answer(at, Over::Udp, Instant::now(), Some(&mut server))?;
            self._servers.push(server);
        }
        Ok(())
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
            })
            .collect()
    }

    /// Starts one at an address of its own and waits until it serves.
    /// `options` are for the two pens.
    pub(crate) fn start(&self, who: Who, options: &[&str]) -> Result<Peer, String> {
        self.start_over(Over::Tcp, who, options)
    }

    /// The same for UDP, in front of the back ends for that. HAProxy has none.
    pub(crate) fn start_udp(&self, who: Who) -> Result<Peer, String> {
        self.start_over(Over::Udp, who, UDP)
    }

    fn start_over(&self, over: Over, who: Who, options: &[&str]) -> Result<Peer, String> {
        if who == Who::Direct {
            let address = self.back_ends[0];
            let (start_ms, process) = (0.0, None);
            return Ok(Peer {
                who,
                address,
                start_ms,
                process,
            });
        }
        let port = self.next_port.get();
        self.next_port.set(port + 1);
        let address = SocketAddr::from((self.back_ends[0].ip(), port));
        let start = Instant::now();
        let process = match who {
            Who::Ours => self.pen(Path::new(env!("CARGO_BIN_EXE_pen")), address, options),
            Who::CPen => self.pen(need(&self.tools.c_pen)?, address, options),
            Who::HaProxy => self.haproxy(address),
            Who::Nginx | Who::Direct => self.nginx(&self.stream(over, address)?, port),
        };
        let mut process = process.map_err(|why| format!("{}: {why}", who.name()))?;
        let start_ms = first_answer(address, over, start, Some(&mut process))
            .map_err(|why| format!("{}: {why}{}", who.name(), self.last_words(port)))?;
        Ok(Peer {
            who,
            address,
            start_ms,
            process: Some(process),
        })
    }

    fn pen(&self, program: &Path, at: SocketAddr, options: &[&str]) -> Result<Kept, String> {
        let mut command = Command::new(program);
        command.arg("-f").args(options).arg(at.to_string());
        command.args(self.back_ends.map(|server| server.to_string()));
        self.run(command, at.port())
    }

    fn haproxy(&self, at: SocketAddr) -> Result<Kept, String> {
        let mut text = format!(
            "global\n  maxconn {}\n  nbthread {}\n\
             defaults\n  mode tcp\n  balance roundrobin\n  timeout connect 3s\n  \
             timeout client 5m\n  timeout server 5m\n\
             listen bench\n  bind {at} backlog 4096\n",
            self.capacity,
            processors()
        );
        for server in self.back_ends {
            text += &format!("  server s{} {server}\n", server.port());
        }
        let file = self.file(at.port(), "cfg", &text)?;
        let mut command = Command::new(need(&self.tools.haproxy)?);
        command.args(["-db", "-q", "-f"]).arg(file);
        self.run(command, at.port())
    }

    /// nginx as a load balancer.
    fn stream(&self, over: Over, at: SocketAddr) -> Result<String, String> {
        // Without reuseport the next datagram of a client may come to another
        // process, which knows nothing of the first.
        let how = match over {
            Over::Tcp => "backlog=4096",
            Over::Udp => "udp reuseport",
        };
        let module = self.tools.stream.as_deref().ok_or("no stream module")?;
        let servers = self.back_ends.map(|server| format!("server {server};"));
        Ok(format!(
            "{module}\nworker_processes auto;\nevents {{ worker_connections {}; }}\n\
             stream {{\n  upstream servers {{ {} }}\n  proxy_connect_timeout 3s;\n  \
             server {{ listen {at} {how}; proxy_pass servers; }}\n}}\n",
            2 * self.capacity + 50, // both sides count
            servers.join(" ")
        ))
    }

    fn nginx(&self, text: &str, port: u16) -> Result<Kept, String> {
        let dir = self.directory.display();
        let text = format!(
            "{text}\ndaemon off;\npid {dir}/{port}.pid;\nerror_log stderr warn;\n\
             worker_rlimit_nofile {};\n",
            2 * self.capacity + 100
        );
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
        text.lines()
            .last()
            .map_or_else(String::new, |line| format!("; it said: {line}"))
    }
}

/// The processors that may be used, which is how many threads or processes
/// HAProxy's and nginx's manuals advise.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn need(tool: &Option<PathBuf>) -> Result<&Path, String> {
    tool.as_deref().ok_or_else(|| "not installed".to_owned())
}

/// A back end: a small answer for `/`, and one large file.
fn back_end(directory: &Path, at: SocketAddr, capacity: usize) -> String {
    let (dir, port) = (directory.display(), at.port());
    let body = measure::BODY.trim_end();
    let mut text = format!(
        "worker_processes 1;\nevents {{ worker_connections {}; }}\nhttp {{\n  \
         access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_timeout 10m;\n  \
         keepalive_requests 1000000000;\n  client_header_timeout 10m;\n  send_timeout 10m;\n",
        capacity + 50
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        text += &format!("  {kind}_temp_path {dir}/{port}.{kind};\n");
    }
    text += &format!(
        "  server {{\n    listen {at} backlog=4096;\n    root {dir};\n    \
         location = / {{ default_type text/plain; return 200 \"{body}\\n\"; }}\n  }}\n}}\n"
    );
    text
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
