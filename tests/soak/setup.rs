//! A pen with the servers behind it and the clients that it knows, and what
//! must hold between them.

use crate::ledger::{Count, Faults, Total};
use crate::plan::{KINDS, Kind, Role};
use crate::servers::Server;
use crate::stand::{Host, Pen, Starter};
use crate::traffic::Call;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Clients that come again and again.
const REGULARS: u32 = 1000;

/// Places in pen's client table for those who come once.
const STRANGERS: u32 = 500;

/// How long what is over may take to be given back: threads wait ten seconds
/// for their next connection.
const SETTLING: Duration = Duration::from_secs(90);

/// Memory at the end, in percent of that at the start.
const MOST_MEMORY: u64 = 110;

/// TCP or UDP, with what differs.
pub(crate) struct Transport {
    pub(crate) name: &'static str,
    /// Of whom the clients' addresses are: 127.N and 127.(N+1).
    net: u8,
    args: &'static [&'static str],
    serve: fn(SocketAddr, u8, Role, &Arc<Faults>) -> Server,
    kind: fn(u32) -> Kind,
    /// The servers' roles. The absent one is the last: the first one is next.
    roles: &'static [Role],
    /// Clients at the same time.
    pub(crate) at_once: u32,
}

pub(crate) const TCP: Transport = Transport {
    name: "TCP",
    net: 10,
    args: &["-x", "500"],
    serve: Server::tcp,
    kind: Kind::tcp,
    roles: &[
        Role::Orderly,
        Role::Orderly,
        Role::Orderly,
        Role::Orderly,
        Role::Rough,
        Role::Closing,
        Role::Absent,
    ],
    at_once: 48,
};

pub(crate) const UDP: Transport = Transport {
    name: "UDP",
    net: 12,
    args: &["-U", "-O", "idle_timeout 2", "-x", "2000"],
    serve: Server::udp,
    kind: Kind::udp,
    roles: &[Role::Orderly, Role::Orderly, Role::Rough, Role::Absent],
    at_once: 8,
};

/// A client that pen remembers.
struct Regular {
    ip: Ipv4Addr,
    /// The server that it is on.
    server: usize,
    count: Count,
}

/// What pen holds at one moment.
#[derive(Clone, Copy, Default)]
pub(crate) struct Gauges {
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    pub(crate) memory_kib: u64,
    /// Connections of all servers.
    pub(crate) leases: u64,
    pub(crate) slots: u64,
}

/// All of it.
pub(crate) struct Setup {
    pub(crate) transport: &'static Transport,
    pen: Pen,
    servers: Vec<Server>,
    regulars: Vec<Regular>,
    /// All those who come once. They are on the first server, as the one
    /// before it refuses.
    strangers: Count,
    next_stranger: AtomicU32,
    faults: Arc<Faults>,
    /// Before the first client.
    pub(crate) fresh: Gauges,
    /// Connections made, by kind.
    pub(crate) made: [AtomicU64; KINDS.len()],
    next: AtomicU32,
    /// The same by role.
    turns: [AtomicU32; 4],
}

impl Setup {
    /// Starts pen and the servers, and makes the clients known.
    pub(crate) fn start(transport: &'static Transport, faults: &Arc<Faults>) -> Setup {
        let host = Host::new();
        let servers: Vec<Server> = (0u8..)
            .zip(transport.roles)
            .map(|(index, role)| (transport.serve)(host.addr(), index, *role, faults))
            .collect();
        let table = (REGULARS + STRANGERS).to_string();
        let mut starter = Starter::on(&host)
            .args(transport.args)
            // Who comes for the first time tries the absent one, each time.
            .args(["-b", "0", "-t", "60", "-c", &table])
            .control()
            .expect("is down, next try in 0 s");
        for server in &servers {
            let prio = u8::from(server.role != Role::Absent);
            starter = starter.operand(format!("{}:0:0:0:{prio}", server.at));
        }
        let pen = starter.start();
        // The last of its own threads may be starting still.
        thread::sleep(Duration::from_millis(300));
        let mut setup = Setup {
            transport,
            pen,
            servers,
            regulars: Vec::new(),
            strangers: Count::default(),
            next_stranger: AtomicU32::new(0),
            faults: Arc::clone(faults),
            fresh: Gauges::default(),
            made: Default::default(),
            next: AtomicU32::new(0),
            turns: Default::default(),
        };
        setup.fresh = setup.gauges();
        setup.introduce();
        setup
    }

    /// Fills pen's client table: with strangers first, as they are to be
    /// forgotten first, then with one visit by each regular, who gets a server
    /// in turn.
    fn introduce(&mut self) {
        let kind = match self.transport.name {
            "UDP" => Kind::Asks,
            _ => Kind::ClientEnds,
        };
        assert_eq!(self.pen.ask("prio"), "");
        for number in 0..STRANGERS {
            self.stranger(number, kind);
        }
        assert_eq!(self.pen.ask("no prio"), "");
        let roles = self.transport.roles;
        // It does not say who it is.
        let closing = roles.iter().position(|role| *role == Role::Closing);
        for number in 0..REGULARS {
            let ip = Ipv4Addr::from_bits(self.base(0) + number);
            let count = Count::default();
            let server = match (self.call(number, kind, ip, &count).make(), closing) {
                (Ok(Some(server)), _) => usize::from(server),
                (_, Some(server)) => server,
                (result, None) => panic!("the first visit of {ip}: {result:?}"),
            };
            self.regulars.push(Regular { ip, server, count });
        }
        assert_eq!(self.pen.ask("prio"), "");
    }

    fn base(&self, more: u8) -> u32 {
        Ipv4Addr::new(127, self.transport.net + more, 0, 1).to_bits()
    }

    fn call<'a>(&self, number: u32, kind: Kind, from: Ipv4Addr, count: &'a Count) -> Call<'a> {
        Call { number, kind, from, to: self.pen.at.inet(), count }
    }

    /// A client that was never here: the first choice is the absent server.
    fn stranger(&self, number: u32, kind: Kind) {
        let which = self.next_stranger.fetch_add(1, Relaxed) & 0x00ff_ffff;
        let ip = Ipv4Addr::from_bits(self.base(1) + which % 0x00ff_0000);
        self.call(number, kind, ip, &self.strangers).make_on(0, &self.faults);
    }

    /// Makes connections until `count` have been made by all who do this.
    pub(crate) fn run(&self, count: u32) {
        let of_role = |role| {
            let all = self.regulars.iter();
            let on_it = all.filter(move |client| self.servers[client.server].role == role);
            (role, on_it.collect::<Vec<&Regular>>())
        };
        let roles = [Role::Orderly, Role::Rough, Role::Closing].map(of_role);
        loop {
            let number = self.next.fetch_add(1, Relaxed);
            if number >= count {
                return;
            }
            let kind = (self.transport.kind)(number);
            match roles.iter().find(|(role, _)| *role == kind.role()) {
                None => self.stranger(number, kind),
                Some((role, all)) => {
                    // Each in turn, so that pen forgets none.
                    let turn = self.turns[*role as usize].fetch_add(1, Relaxed);
                    let client = all[turn as usize % all.len()];
                    let call = self.call(number, kind, client.ip, &client.count);
                    call.make_on(client.server as u8, &self.faults);
                }
            }
            let place = KINDS.iter().position(|(other, _)| *other == kind).unwrap();
            self.made[place].fetch_add(1, Relaxed);
        }
    }

    /// Begins anew with the numbers.
    pub(crate) fn rewind(&self) {
        self.next.store(0, Relaxed);
        self.made.iter().for_each(|count| count.store(0, Relaxed));
    }

    /// How many connections were made so far.
    pub(crate) fn done(&self) -> u64 {
        self.made.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// What the process holds, without asking it.
    pub(crate) fn holdings(&self) -> Gauges {
        let status = self.pen.status();
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pen.pid())).unwrap();
        Gauges {
            descriptors: files.count() as u64,
            threads: status.number("Threads"),
            memory_kib: status.number("VmRSS"),
            ..Gauges::default()
        }
    }

    /// All gauges.
    pub(crate) fn gauges(&self) -> Gauges {
        let leases = self.rows("servers").into_iter();
        let page = self.pen.ask("status");
        // "Number of connections: 500 max, 0 used, ..."
        let used = page.split_once(" max, ").and_then(|(_, rest)| rest.split_once(" used"));
        Gauges {
            leases: leases.map(|row| row.number("conn")).sum(),
            slots: used.and_then(|(used, _)| used.parse().ok()).expect("slots in the report"),
            ..self.holdings()
        }
    }

    /// Waits until everything is as it was in `start`, as far as that comes to
    /// pass, and returns what there is then. pen is asked only when it seems to
    /// be at rest: who asks keeps its threads awake.
    pub(crate) fn settle(&self, start: &Gauges) -> Gauges {
        let end = Instant::now() + SETTLING;
        let mut last = self.holdings();
        let mut still = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(200));
            let now = self.holdings();
            if now.memory_kib != last.memory_kib {
                still = Instant::now();
            }
            last = now;
            let is_back = now.threads <= start.threads && now.descriptors <= start.descriptors;
            let fits = start.memory_kib == 0 || now.fits(start);
            let rests = still.elapsed() > Duration::from_secs(3);
            if (is_back && fits && rests) || Instant::now() > end {
                let Gauges { leases, slots, .. } = self.gauges();
                return Gauges { leases, slots, ..now };
            }
        }
    }

    fn rows(&self, command: &str) -> Vec<Row> {
        let text = self.pen.ask(command);
        text.lines().map(|line| Row(line.to_owned())).collect()
    }

    /// Compares what pen says with what both ends have counted; returns the
    /// bytes of all, as pen has them.
    pub(crate) fn compare(&self) -> Total {
        let name = self.transport.name;
        let mut all = Total::default();
        let recent = self.rows("recent 1000000");
        let recent: HashMap<&str, &Row> = recent.iter().map(|row| (row.first(), row)).collect();
        let mut by_server = vec![Total::default(); self.servers.len()];
        for client in &self.regulars {
            let here = client.count.total();
            let Some(row) = recent.get(client.ip.to_string().as_str()) else {
                self.faults.add(format!("{name}: pen does not know {} any more", client.ip));
                continue;
            };
            let there = Total {
                connections: row.number("connects"),
                // What it sent to the client, the client received.
                sent: row.number("rx"),
                received: row.number("sx"),
            };
            by_server[client.server] = [by_server[client.server], there].into_iter().sum();
            let bytes = match self.servers[client.server].role {
                Role::Orderly => (there.sent, there.received) == (here.sent, here.received),
                _ => there.sent <= here.sent && there.received >= here.received,
            };
            // A UDP client that gets a port again soon goes on with its flow.
            let visits = match name {
                "UDP" => there.connections <= here.connections,
                _ => there.connections == here.connections,
            };
            if !bytes || !visits {
                let ip = client.ip;
                self.faults.add(format!("{name} client {ip}: pen has {there:?}, itself {here:?}"));
            }
        }
        for (index, row) in self.rows("servers").iter().enumerate() {
            let server = &self.servers[index];
            let pen = (row.number("sx"), row.number("rx"));
            all.sent += pen.0;
            all.received += pen.1;
            let of_it = |client: &&Regular| client.server == index;
            let mut clients: Total =
                self.regulars.iter().filter(of_it).map(|c| c.count.total()).sum();
            let mut known = by_server[index];
            if index == 0 {
                let strangers = self.strangers.total();
                clients = [clients, strangers].into_iter().sum();
                known = [known, strangers].into_iter().sum();
            }
            all.connections += clients.connections;
            let there = server.count.total();
            let end = (there.received, there.sent);
            let ours = (clients.sent, clients.received);
            let holds = match server.role {
                Role::Orderly => pen == end && pen == ours,
                Role::Absent => pen.1 == 0,
                Role::Rough | Role::Closing => {
                    // Cut off anywhere: what one end has sent is more than what
                    // pen passed on, and that more than what the other end got.
                    // What pen has on its two sides is the same even here.
                    let sides = (known.sent, known.received);
                    pen == sides
                        && end.0 <= pen.0
                        && pen.0 <= ours.0
                        && ours.1 <= pen.1
                        && pen.1 <= end.1
                }
            };
            if !holds {
                self.faults.add(format!(
                    "{name} server {index} ({:?}): bytes to and from it: \
                     pen {pen:?}, server {end:?}, clients {ours:?}, clients as pen has them {:?}",
                    server.role,
                    (known.sent, known.received)
                ));
            }
            if name == "TCP"
                && server.role != Role::Absent
                && there.connections != clients.connections
            {
                self.faults.add(format!(
                    "TCP server {index}: {} connections, clients made {}",
                    there.connections, clients.connections
                ));
            }
        }
        all
    }
}

impl Gauges {
    /// Whether the memory is what it was at the start, or nearly.
    pub(crate) fn fits(&self, start: &Gauges) -> bool {
        self.memory_kib * 100 <= start.memory_kib * MOST_MEMORY
    }

    /// Keeps the most of both.
    pub(crate) fn or_more(self, other: Gauges) -> Gauges {
        Gauges {
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            memory_kib: self.memory_kib.max(other.memory_kib),
            leases: self.leases.max(other.leases),
            slots: self.slots.max(other.slots),
        }
    }
}

/// A line of words and numbers of pen's.
struct Row(String);

impl Row {
    fn first(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// The number behind a word.
    fn number(&self, name: &str) -> u64 {
        let mut words = self.0.split(' ').skip_while(|word| *word != name);
        let number = words.nth(1).and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("no {name:?} in {:?}", self.0))
    }
}
