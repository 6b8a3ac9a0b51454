//! UDP: the load generator and the back ends, each a process of its own - a
//! copy of this program - so that its processor time is not taken for that of
//! another.
//!
//! A client is a socket with a port of its own that has one datagram under
//! way: it sends the next when it has the answer. What has no answer after
//! [`PATIENCE`] is lost, and another is sent. Every datagram begins with the
//! number of its client and its own, so an answer that comes to the wrong
//! client, or too late, is not taken for the right one.
//!
//! Few threads drive many clients: a thread goes round its clients and reads
//! what is there. It does not wait for one of them, as a lost datagram would
//! stop all. All clients send their first datagram at once; the counting
//! begins when each has had an answer, but does not wait long for the last.

use pen::sys;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The argument that makes a copy of this program a back end: it sends back
/// what it gets at the address behind it.
pub(crate) const ECHO: &str = "--udp-echo";

/// The argument that makes a copy of this program the load generator; behind
/// it the address to send to and the number of clients.
pub(crate) const LOAD: &str = "--udp-load";

/// What stands before the figures in the output of the load generator.
pub(crate) const RATE: &str = "answers a second:";
pub(crate) const ANSWERS: &str = "answers:";
pub(crate) const LOST: &str = "lost:";
pub(crate) const STRAYED: &str = "strayed:";

/// Bytes of a datagram.
const SIZE: usize = 64;

/// How long the answers are counted.
const COUNTED: Duration = Duration::from_millis(500);

/// Before that: at least, and at most if some client has had no answer yet.
const WARM_UP: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(1500)];

/// After this a datagram, or its answer, is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Each client waits longer by another part of this: those that lost a datagram
/// at the same time are not to come back at the same time.
const SPREAD: Duration = Duration::from_millis(250);

/// Bytes that a back end has room for: what is lost is to be lost elsewhere.
const ROOM: u32 = 4 << 20;

/// The threads that drive the clients.
const THREADS: usize = 2;

/// A thread with more clients than this sleeps when there is little to read,
/// so that more comes together; with fewer it waits for the next answer.
const MANY: usize = 16;

/// How long such a sleep is, for each of its clients.
const REST: Duration = Duration::from_micros(1);

/// The longest wait for the client that waits longest.
const WAIT: Duration = Duration::from_millis(5);

/// What all threads count, from the first datagram.
#[derive(Default)]
struct Counts {
    /// Clients that have had an answer.
    arrived: AtomicU64,
    answers: AtomicU64,
    lost: AtomicU64,
    /// Answers that came to the wrong client.
    strayed: AtomicU64,
    end: AtomicBool,
}

/// Plays the role that the arguments name, if they name one of these.
pub(crate) fn play(words: &[String]) -> Option<ExitCode> {
    let (role, words) = words.split_first()?;
    let to = words.first().and_then(|word| word.parse().ok());
    let count = words.get(1).and_then(|word| word.parse().ok());
    let result = match (role.as_str(), to, count) {
        (ECHO, Some(at), None) => echo(at),
        (LOAD, Some(to), Some(count)) => load(to, count),
        (ECHO | LOAD, ..) => Err(io::ErrorKind::InvalidInput.into()),
        _ => return None,
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{role} {}: {e}", words.join(" "));
            ExitCode::FAILURE
        }
    })
}

/// The life of a back end.
fn echo(at: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(at)?;
    sys::receive_room(&socket, ROOM)?; // or as much as the system grants
    let mut datagram = [0; 2048];
    loop {
        // Whatever fails concerns one datagram alone.
        if let Ok((n, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..n], from);
        }
    }
}

/// One datagram and its answer.
pub(crate) fn ask(to: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(&[0; SIZE])?;
    socket.recv(&mut [0; SIZE]).map(drop)
}

/// The life of the load generator.
fn load(to: SocketAddr, count: u32) -> io::Result<()> {
    let counts = Counts::default();
    let mut groups: Vec<Vec<Client>> = (0..THREADS).map(|_| Vec::new()).collect();
    for number in 0..count {
        groups[number as usize % THREADS].push(Client::new(number, to)?);
    }
    groups.retain(|group| !group.is_empty());
    let rate = thread::scope(|scope| {
        let drivers: Vec<_> = groups
            .into_iter()
            .map(|mut group| {
                let counts = &counts;
                scope.spawn(move || go_round(&mut group, counts))
            })
            .collect();
        let begin = Instant::now();
        while begin.elapsed() < WARM_UP[0]
            || (counts.arrived.load(Relaxed) < count.into() && begin.elapsed() < WARM_UP[1])
        {
            thread::sleep(Duration::from_millis(10));
        }
        let (begin, before) = (Instant::now(), counts.answers.load(Relaxed));
        thread::sleep(COUNTED);
        let answers = counts.answers.load(Relaxed) - before;
        let rate = answers as f64 / begin.elapsed().as_secs_f64();
        counts.end.store(true, Relaxed);
        for driver in drivers {
            driver.join().expect("no driver panics")?;
        }
        io::Result::Ok(rate)
    })?;
    println!("{RATE} {rate:.0}");
    let all = [(ANSWERS, counts.answers), (LOST, counts.lost), (STRAYED, counts.strayed)];
    for (label, value) in all {
        println!("{label} {}", value.into_inner());
    }
    match rate {
        0.0 => Err(io::Error::other("no answers")),
        _ => Ok(()),
    }
}

/// One thread's part, until the end.
fn go_round(group: &mut [Client], counts: &Counts) -> io::Result<()> {
    if let [client] = group {
        client.socket.set_nonblocking(false)?;
        client.socket.set_read_timeout(Some(client.patience))?;
    }
    for client in &mut *group {
        client.send(Instant::now())?;
    }
    while !counts.end.load(Relaxed) {
        let now = Instant::now();
        let mut found = 0;
        for client in &mut *group {
            found += client.turn(now, counts)?;
        }
        counts.answers.fetch_add(found as u64, Relaxed);
        match group.len() {
            1 => {} // its socket waits by itself
            n if n > MANY && found * 8 < n => thread::sleep(REST * n as u32),
            n if n <= MANY && found == 0 => {
                if let Some(client) = group.iter().min_by_key(|client| client.sent) {
                    sys::wait_readable(&client.socket, WAIT)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A client, which waits for the answer to its last datagram.
struct Client {
    number: u32,
    socket: UdpSocket,
    /// The number of the last datagram, and when it was sent.
    serial: u32,
    sent: Instant,
    patience: Duration,
    arrived: bool,
}

impl Client {
    fn new(number: u32, to: SocketAddr) -> io::Result<Client> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        Ok(Client {
            number,
            socket,
            serial: 0,
            sent: Instant::now(),
            patience: PATIENCE + SPREAD * (number * 41 % 100) / 100,
            arrived: false,
        })
    }

    /// What a datagram begins with.
    fn mark(&self) -> [u8; 8] {
        let mark = u64::from(self.number) << 32 | u64::from(self.serial);
        mark.to_be_bytes()
    }

    fn send(&mut self, now: Instant) -> io::Result<()> {
        self.serial += 1;
        self.sent = now;
        let mut datagram = [0; SIZE];
        datagram[..8].copy_from_slice(&self.mark());
        tolerate(self.socket.send(&datagram)).map(drop)
    }

    /// Reads what is there and sends the next datagram if the last one is
    /// answered or lost. Returns how many answers that makes.
    fn turn(&mut self, now: Instant, counts: &Counts) -> io::Result<usize> {
        let mut answer = [0; SIZE + 1];
        while let Some(n) = tolerate(self.socket.recv(&mut answer))? {
            if n == SIZE && answer[..8] == self.mark() {
                if !self.arrived {
                    self.arrived = true;
                    counts.arrived.fetch_add(1, Relaxed);
                }
                self.send(now)?;
                return Ok(1);
            }
            // Else it is an answer to what was given up.
            if answer[..4] != self.number.to_be_bytes() {
                counts.strayed.fetch_add(1, Relaxed);
            }
        }
        if self.sent.elapsed() >= self.patience {
            counts.lost.fetch_add(1, Relaxed);
            self.send(now)?;
        }
        Ok(0)
    }
}

/// Nothing there, no room, or nobody at the other end (which an earlier
/// datagram found out): the datagram will count as lost, if it was one.
fn tolerate(result: io::Result<usize>) -> io::Result<Option<usize>> {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    match result {
        Ok(n) => Ok(Some(n)),
        Err(e) if matches!(e.kind(), ConnectionRefused | Interrupted) => Ok(None),
        Err(e) if matches!(e.kind(), TimedOut | WouldBlock) => Ok(None),
        Err(e) => Err(e),
    }
}
