//! pen on two machines, which are network namespaces, as pen-machines(7) has it: the
//! configurations are those of the page. This process is the clients.

use crate::row::{Extent, Found, Outcome, Row};
use crate::stand::{At, Backend, Dir, Namespace, Pen, Starter, signal, wait_for, wait_until};
use crate::world::{need_program, run};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 6] = [
    Row { name: "machine-stopped", fault: "keepalived: active pen stopped", run: stopped },
    Row {
        name: "machine-killed",
        fault: "keepalived: active pen killed, and said so",
        run: killed,
    },
    Row { name: "machine-silent", fault: "keepalived: active pen killed", run: killed_silently },
    Row { name: "machine-hung", fault: "keepalived: active pen hangs", run: hung },
    Row { name: "machine-cut", fault: "keepalived: active machine cut off", run: cut_off },
    Row { name: "machine-out", fault: "nft: a pen out and back", run: out_and_back },
];

/// The common address and port.
const SERVICE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100)), 80);

/// Clients' addresses are 192.0.2.N or 198.51.100.N with these numbers.
const CLIENTS: std::ops::Range<u8> = 21..29;

/// Connections of each that stay.
const STAYING: usize = 5;

/// How often somebody new comes.
const PACE: Duration = Duration::from_millis(20);

/// Visits that show that clients are served.
const SOME: usize = 20;

/// A configuration of the manual page.
fn block(name: &str) -> String {
    let page = include_str!("../../src/man/pen-machines.7");
    let mark = format!(".\\\" block {name}\n.Bd -literal\n");
    let rest = page.split(&mark).nth(1).unwrap_or_else(|| panic!("no block {name}"));
    rest.split("\n.Ed\n").next().unwrap_or_default().to_owned() + "\n"
}

/// A conversation with the service: the letter of the server.
fn letter(stream: &mut TcpStream) -> io::Result<char> {
    let mut letter = [0];
    stream.read_exact(&mut letter)?;
    Ok(char::from(letter[0]))
}

fn connect() -> io::Result<(TcpStream, char)> {
    let mut stream = TcpStream::connect_timeout(&SERVICE, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let letter = letter(&mut stream)?;
    Ok((stream, letter))
}

/// Whether a connection that has stayed still works, with the same server.
fn still_works((stream, before): &mut (TcpStream, char)) -> bool {
    stream.write_all(b"\n").is_ok() && letter(stream).is_ok_and(|letter| letter == *before)
}

/// Somebody who came: when, when it was over, and whether that went well.
type Visit = (Instant, Instant, bool);

/// Somebody new comes every moment.
struct Visits {
    all: Arc<Mutex<Vec<Visit>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Visits {
    fn start() -> Visits {
        let (all, stopping): (Arc<Mutex<Vec<Visit>>>, Arc<AtomicBool>) = Default::default();
        let (kept, is_over) = (Arc::clone(&all), Arc::clone(&stopping));
        let thread = thread::spawn(move || {
            thread::scope(|scope| {
                while !is_over.load(SeqCst) {
                    scope.spawn(|| {
                        let begin = Instant::now();
                        let result = connect().is_ok();
                        kept.lock().unwrap().push((begin, Instant::now(), result));
                    });
                    thread::sleep(PACE);
                }
            });
        });
        Visits { all, stopping, thread: Some(thread) }
    }

    /// Waits until some who came after this were served.
    fn served_after(&self, when: Instant) {
        let is_served = |visit: &&Visit| visit.2 && visit.0 > when;
        wait_for(Duration::from_secs(30), "clients are served", || {
            self.all.lock().unwrap().iter().filter(is_served).count() >= SOME
        });
    }

    /// Stops. All visits, in the order of their ends.
    fn end(&mut self) -> Vec<Visit> {
        self.stopping.store(true, SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
        let mut all = std::mem::take(&mut *self.all.lock().unwrap());
        all.sort_by_key(|(_, end, _)| *end);
        all
    }
}

impl Drop for Visits {
    fn drop(&mut self) {
        self.end();
    }
}

/// The longest time in which nobody was served.
fn gap(visits: &[Visit]) -> Duration {
    let well: Vec<Instant> = visits.iter().filter(|(.., ok)| *ok).map(|(_, end, _)| *end).collect();
    well.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
}

/// A machine with pen.
struct Machine {
    pen: Option<Pen>,
    keepalived: Option<Child>,
    net: Namespace,
    health: PathBuf,
}

impl Machine {
    /// Whether it has the common address.
    fn is_active(&self) -> bool {
        let words = ["-n", &self.net.name, "-4", "addr", "show", "dev", "eth0"];
        let output = Command::new("ip").args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("192.0.2.100/")
    }

    fn is_well(&self) -> bool {
        fs::read_to_string(&self.health).is_ok_and(|text| text == "0\n")
    }

    fn pid(&self) -> u32 {
        self.pen.as_ref().unwrap().pid()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(child) = &mut self.keepalived {
            // It would take a second to end well, and its network goes with it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Two machines, their servers, and the clients' network.
struct Pair {
    machines: [Machine; 2],
    servers: Vec<Backend>,
    dir: Dir,
}

/// Removes the clients' network card.
struct Card(&'static str);

impl Drop for Card {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", self.0]).status();
    }
}

fn ip(line: &str) {
    run("ip", &line.split(' ').collect::<Vec<_>>());
}

fn namespace() -> Result<Namespace, String> {
    Namespace::new().ok_or_else(|| "network namespaces cannot be made".to_owned())
}

/// A machine whose network card is a port of the bridge of another namespace, or of
/// ours.
fn machine(
    number: usize,
    bridge: Option<&str>,
    address: &str,
    dir: &Dir,
) -> Result<Machine, String> {
    let net = namespace()?;
    // The kernel removes what a namespace had in its own time.
    let port = format!("lan{}", net.name.rsplit('-').next().unwrap_or_default());
    let there = bridge.map(|name| format!("-n {name} ")).unwrap_or_default();
    ip(&format!("{there}link add {port} type veth peer name eth0 netns {}", net.name));
    ip(&format!("{there}link set {port} master lan up"));
    net.address("eth0", address);
    let health = dir.file(&format!("health{number}"));
    Ok(Machine { pen: None, keepalived: None, net, health })
}

impl Pair {
    fn start_pen(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        let state = self.dir.file(&format!("state{number}"));
        let config = block("pen.cfg")
            .replace("/run/pen/health", machine.health.to_str().unwrap())
            .replace("/var/lib/pen/state", state.to_str().unwrap());
        let config = self.dir.put(&format!("pen{number}.cfg"), config);
        let at = At::Inet((Ipv4Addr::UNSPECIFIED, 80).into());
        let control = At::Unix(self.dir.file(&format!("control{number}")));
        let starter = Starter::at(at).listen_word("80".to_owned()).control_at(control);
        let starter = starter.inside(&machine.net.name).path("-F", &config);
        let starter = starter.servers(&self.servers).expect("signal: 9").expect("drop: ");
        machine.pen = Some(starter.start());
        wait_until("pen is well", || machine.is_well());
    }

    /// Two machines with keepalived on one network with the clients.
    fn with_keepalived() -> Result<(Pair, Card), String> {
        need_program("keepalived", "keepalived")?;
        need_program("curl", "curl")?;
        ip("link add lan type bridge");
        let card = Card("lan");
        ip("addr add 192.0.2.1/24 dev lan");
        for client in CLIENTS {
            ip(&format!("addr add 192.0.2.{client}/24 dev lan"));
        }
        ip("link set lan up");
        let dir = Dir::new();
        let machines =
            [machine(1, None, "192.0.2.11/24", &dir)?, machine(2, None, "192.0.2.12/24", &dir)?];
        let mut pair = Pair::of(machines, dir);
        for number in 0..2 {
            pair.start_pen(number);
            let machine = &mut pair.machines[number];
            let config = block("keepalived.conf")
                .replace("/run/pen/health", machine.health.to_str().unwrap());
            let name = |end: &str| pair.dir.file(&format!("keepalived{number}.{end}"));
            fs::write(name("conf"), config).unwrap();
            let log = fs::File::create(name("log")).unwrap();
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &machine.net.name, "keepalived"]);
            command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]);
            command.arg(name("conf")).arg("--pid").arg(name("pid"));
            command.arg("--vrrp_pid").arg(name("vrrp"));
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            machine.keepalived = Some(command.spawn().unwrap());
        }
        wait_until("one is active", || pair.active().is_some());
        Ok((pair, card))
    }

    fn of(machines: [Machine; 2], dir: Dir) -> Pair {
        let servers = ('A'..='E').map(|letter| {
            let at = At::Unix(dir.file(&format!("server{letter}")));
            Backend::letter(at, letter)
        });
        Pair { servers: servers.collect(), machines, dir }
    }

    fn active(&self) -> Option<usize> {
        match [0, 1].map(|number| self.machines[number].is_active()) {
            [true, false] => Some(0),
            [false, true] => Some(1),
            _ => None,
        }
    }
}

/// Connections that stay, of all clients' addresses.
fn staying(route: &str) -> Vec<(TcpStream, char)> {
    let mut all = Vec::new();
    for client in CLIENTS {
        let address = route.replace("N", &client.to_string());
        ip(&format!("route replace 192.0.2.100/32 {address}"));
        let new = (0..STAYING).map(|_| connect().unwrap());
        all.extend(new.collect::<Vec<_>>());
    }
    all
}

fn letters(all: &[(TcpStream, char)]) -> String {
    all.iter().map(|(_, letter)| *letter).collect()
}

/// The active machine fails, again and again: the other one serves, and each client
/// finds the server that it was on.
fn fails(
    extent: &Extent,
    limit: Duration,
    fail: impl Fn(&mut Machine),
    mend: impl Fn(&mut Pair, usize),
) -> Found {
    extent.world.need_own()?;
    let (mut pair, _card) = Pair::with_keepalived()?;
    let mut outcome = Outcome::default();
    for _ in 0..extent.times(5, 1) {
        let active = pair.active().expect("one is active");
        let mut staying_before = staying("dev lan src 192.0.2.N");
        let mut visits = Visits::start();
        visits.served_after(Instant::now());
        let since = Instant::now();
        fail(&mut pair.machines[active]);
        wait_for(Duration::from_secs(30), "the other one is active", || {
            pair.machines[1 - active].is_active()
        });
        let moved = Instant::now();
        visits.served_after(moved);
        let visits = visits.end();
        let broken = staying_before.iter_mut().map(still_works).filter(|works| !works).count();
        let staying_after = staying("dev lan src 192.0.2.N");
        outcome.times += 1;
        outcome.in_flight = staying_before.len();
        outcome.forced += broken;
        for (begin, end, ok) in &visits {
            match (ok, *begin < moved && *end > since) {
                (true, _) => outcome.done += 1,
                (false, true) => outcome.forced += 1,
                (false, false) => outcome.failed += 1,
            }
        }
        outcome.recovery = outcome.recovery.max(gap(&visits));
        let [before, after] = [&staying_before, &staying_after].map(|all| letters(all));
        outcome.demand(before == after, || format!("servers {before}, then {after}"));
        outcome.demand(before.contains(|c| c != before.chars().next().unwrap()), || {
            format!("one server for all: {before}")
        });
        drop((staying_before, staying_after));
        mend(&mut pair, active);
        wait_until("it is well again", || pair.machines[active].is_well());
        wait_until("the other one stays active", || pair.active() == Some(1 - active));
    }
    let recovery = outcome.recovery;
    outcome.demand(recovery < limit, || format!("nobody was served for {recovery:?}"));
    Ok(outcome)
}

/// Longer than it takes, as the machine may be busy.
const BY_FILE: Duration = Duration::from_secs(3);
const BY_SCRIPT: Duration = Duration::from_secs(8);

/// Forced: the connections of the machine, and who comes until the other one has the
/// address.
fn stopped(extent: &Extent) -> Found {
    fails(extent, BY_FILE, |machine| drop(machine.pen.take()), Pair::start_pen)
}

/// The same. What systemd does with ExecStopPost, a shell does here.
fn killed(extent: &Extent) -> Found {
    let fail = |machine: &mut Machine| {
        let (pid, health) = (machine.pid(), machine.health.display());
        let script = format!("while kill -0 {pid}; do sleep 0.01; done; echo -254 >{health}");
        let mut shell =
            Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).spawn().unwrap();
        kill(machine);
        assert!(shell.wait().unwrap().success());
    };
    fails(extent, BY_FILE, fail, Pair::start_pen)
}

fn kill(machine: &mut Machine) {
    signal(machine.pid(), "KILL");
    machine.pen.as_mut().unwrap().wait();
    machine.pen = None;
}

/// The same. The script of keepalived finds out.
fn killed_silently(extent: &Extent) -> Found {
    fails(extent, BY_SCRIPT, kill, Pair::start_pen)
}

/// The same.
fn hung(extent: &Extent) -> Found {
    if extent.is_short {
        return Err("not in short".to_owned());
    }
    let mend = |pair: &mut Pair, number: usize| signal(pair.machines[number].pid(), "CONT");
    fails(extent, BY_SCRIPT, |machine| signal(machine.pid(), "STOP"), mend)
}

/// The same. The machine sees that its network card has no link.
fn cut_off(extent: &Extent) -> Found {
    let link = |machine: &Machine, state: &str| machine.net.ip(&format!("link set eth0 {state}"));
    let mend = |pair: &mut Pair, number: usize| link(&pair.machines[number], "up");
    fails(extent, BY_FILE, |machine| link(machine, "down"), mend)
}

/// Forced: nothing. Connections stay where they are, and new ones go elsewhere.
fn out_and_back(extent: &Extent) -> Found {
    extent.world.need_own()?;
    need_program("nft", "nftables")?;
    let dir = Dir::new();
    let front = namespace()?;
    ip(&format!("link add clients type veth peer name clients netns {}", front.name));
    let _card = Card("clients");
    ip("link set clients up");
    for client in CLIENTS {
        ip(&format!("addr add 198.51.100.{client}/24 dev clients"));
    }
    front.address("clients", "198.51.100.1/24");
    front.ip("link add lan type bridge");
    front.address("lan", "10.0.0.1/24");
    front.set("ip_forward", "1");
    let machines = [
        machine(1, Some(&front.name), "10.0.0.11/24", &dir)?,
        machine(2, Some(&front.name), "10.0.0.12/24", &dir)?,
    ];
    machines.iter().for_each(|machine| machine.net.ip("route add default via 10.0.0.1"));
    let mut pair = Pair::of(machines, dir);
    (0..2).for_each(|number| pair.start_pen(number));
    let nft = |name: &str, text: String| {
        let file = pair.dir.put(name, text);
        let words = ["netns", "exec", &front.name, "nft", "-f", file.to_str().unwrap()];
        run("ip", &words);
    };
    nft("pens.nft", block("pens.nft"));
    let out = block("out.nft");
    let back = out.replace("1 : 10.0.0.11", "1 : 10.0.0.12");
    let held = |number: usize| -> u32 {
        let pen = pair.machines[number].pen.as_ref().unwrap();
        (0..pair.servers.len()).map(|server| pen.load(server)).sum()
    };
    let mut outcome = Outcome::default();
    for _ in 0..extent.times(20, 2) {
        let route = "via 198.51.100.1 src 198.51.100.N";
        let mut all = staying(route);
        let before = [held(0), held(1)];
        nft("out.nft", out.clone());
        all.extend(staying(route));
        let while_out = [held(0), held(1)];
        nft("back.nft", back.clone());
        all.extend(staying(route));
        outcome.times += 1;
        outcome.in_flight = all.len();
        let works = all.iter_mut().map(still_works).filter(|works| *works).count();
        outcome.done += works;
        outcome.failed += all.len() - works;
        outcome.demand(before[1] > 0 && while_out[1] == before[1], || {
            format!("connections of the pens: {before:?}, with one out {while_out:?}")
        });
        let letters = letters(&all);
        let one = letters.len() / 3;
        outcome.demand(letters == letters[..one].repeat(3), || format!("servers {letters}"));
        drop(all);
        wait_until("all have ended", || held(0) + held(1) == 0);
    }
    Ok(outcome)
}
