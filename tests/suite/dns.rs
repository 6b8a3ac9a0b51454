//! UDP (`-U`) with what most of it is: DNS. Real servers, a real query, and
//! many clients that ask while a server dies and comes back.

use crate::stand::{
    Asker, At, Host, NAME, NameServer, Pen, Starter, answer, better, query, skipped, wait_until,
};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Queries that a client sends before it waits for the answers.
const WINDOW: usize = 10;
const CLIENTS: usize = 10;

/// The addresses that the two servers say, by which their answers are told
/// apart.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

/// Two name servers and pen; nothing where they cannot be had.
fn start(host: &Host, args: &[&str]) -> Option<(Vec<NameServer>, Pen)> {
    let servers = ADDRESSES.map(|address| NameServer::start(host.at(), address));
    let servers: Option<Vec<NameServer>> = servers.into_iter().collect();
    let servers = servers?;
    let mut starter = Starter::on(host).udp().args(args).args(["-b", "1"]);
    for server in &servers {
        starter = starter.server(&server.at);
    }
    let pen = starter.control().expect("server 1").start();
    Some((servers, pen))
}

/// What the clients have got so far.
#[derive(Clone, Copy, Default)]
struct Tally {
    windows: usize,
    answers: [usize; 2],
    lost: usize,
}

impl Tally {
    fn all(&self) -> usize {
        self.answers.iter().sum()
    }

    fn since(&self, before: &Tally) -> Tally {
        Tally {
            windows: self.windows - before.windows,
            answers: [0, 1].map(|n| self.answers[n] - before.answers[n]),
            lost: self.lost - before.lost,
        }
    }

    /// Each server has between 40 and 60 of a hundred.
    fn is_even(&self) -> bool {
        let [least, most] = [self.all() * 4 / 10, self.all() * 6 / 10];
        self.answers.iter().all(|count| (least..=most).contains(count))
    }
}

/// Clients 127.0.0.10 and so on, each with a thread.
struct Clients {
    tallies: Vec<Mutex<Tally>>,
    stop: AtomicBool,
}

impl Clients {
    /// Lets them ask while `meanwhile` runs.
    fn ask(pen: &Pen, meanwhile: impl FnOnce(&Clients)) -> Clients {
        let clients = Clients {
            tallies: (0..CLIENTS).map(|_| Mutex::default()).collect(),
            stop: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let clients = &clients;
                scope.spawn(move || {
                    while !clients.stop.load(SeqCst) {
                        clients.window(client, &pen.at);
                    }
                });
            }
            // Also when it fails.
            let _stop = Stop(&clients.stop);
            meanwhile(&clients);
        });
        clients
    }

    /// A window of queries, from a port of its own, as resolvers do.
    fn window(&self, client: usize, to: &At) {
        let asker = Asker::number(10 + client as u8, to);
        // Longer than an answer can take; what does not come by then is lost.
        let patience = Some(Duration::from_secs(3));
        asker.0.set_read_timeout(patience).unwrap();
        let mut open: BTreeSet<u16> = (0..WINDOW as u16).collect();
        for id in &open {
            asker.send(query(*id));
        }
        let mut got = Tally::default();
        let mut buffer = [0; 512];
        while !open.is_empty() {
            let Ok(count) = asker.0.recv(&mut buffer) else {
                got.lost = open.len();
                break;
            };
            let (id, address) = answer(&buffer[..count]);
            let server = ADDRESSES.iter().position(|known| *known == address);
            assert!(open.remove(&id), "{id} is answered twice");
            got.answers[server.unwrap()] += 1;
        }
        let mut tally = self.tallies[client].lock().unwrap();
        tally.windows += 1;
        tally.lost += got.lost;
        for (sum, count) in tally.answers.iter_mut().zip(got.answers) {
            *sum += count;
        }
    }

    /// What each has got.
    fn each(&self) -> Vec<Tally> {
        let tallies = self.tallies.iter();
        tallies.map(|tally| *tally.lock().unwrap()).collect()
    }

    /// What all have got.
    fn sum(&self) -> Tally {
        let add = |sum: Tally, one: Tally| Tally {
            windows: sum.windows + one.windows,
            answers: [0, 1].map(|n| sum.answers[n] + one.answers[n]),
            lost: sum.lost + one.lost,
        };
        self.each().into_iter().fold(Tally::default(), add)
    }

    /// Waits until what was under way has been answered or lost.
    fn settle(&self) {
        let before = self.each();
        wait_until("every client goes on", || {
            let now = self.each();
            let mut pairs = now.iter().zip(&before);
            pairs.all(|(now, before)| now.windows >= before.windows + 2)
        });
    }

    /// Waits until there are so many more answers.
    fn go_on(&self, count: usize) {
        let before = self.sum().all();
        wait_until("queries are answered", || self.sum().all() >= before + count);
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn dig_gets_an_answer() {
    let host = Host::new();
    let Some((_servers, pen)) = start(&host, &["-r"]) else { return };
    let addr = pen.at.inet();
    let mut command = Command::new("dig");
    command.args(["+short", "+tries=1", "+time=10", "-p"]);
    command.args([&addr.port().to_string(), &format!("@{}", addr.ip()), NAME]);
    for address in [ADDRESSES[1], ADDRESSES[0]] {
        let Ok(output) = command.output() else {
            return skipped("dig is not installed");
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, format!("{address}\n"));
    }
}

#[test]
fn many_queries_while_a_server_dies_and_comes_back() {
    better!(UDP_REFUSED);
    let host = Host::new();
    let Some((mut servers, pen)) = start(&host, &["-r"]) else { return };
    let clients = Clients::ask(&pen, |clients| {
        clients.go_on(20_000);
        let first = clients.sum();
        assert_eq!(first.lost, 0);
        assert!(first.is_even(), "{:?}", first.answers);
        let at = servers.pop().unwrap().at.clone();
        clients.settle();
        clients.go_on(10_000);
        servers.extend(NameServer::start(at, ADDRESSES[1]));
        let seen = clients.sum().answers[1];
        wait_until("it is used again", || clients.sum().answers[1] > seen);
        let before = clients.sum();
        clients.go_on(20_000);
        let last = clients.sum().since(&before);
        assert_eq!(last.lost, 0);
        assert!(last.is_even(), "{:?}", last.answers);
    });
    let sum = clients.sum();
    assert!(sum.all() >= 50_000);
    // What the server that was killed had not answered yet.
    assert!(sum.lost <= CLIENTS * WINDOW, "{} are lost", sum.lost);
}

#[test]
fn each_client_stays_with_its_server() {
    better!(UDP_REFUSED);
    let host = Host::new();
    let Some((mut servers, pen)) = start(&host, &[]) else { return };
    let clients = Clients::ask(&pen, |clients| {
        clients.go_on(5_000);
        let mut homes = [0, 0];
        for tally in clients.each() {
            assert!(tally.answers.contains(&0), "{:?}", tally.answers);
            homes[usize::from(tally.answers[0] == 0)] += 1;
        }
        assert_eq!(homes, [CLIENTS / 2, CLIENTS / 2]);
        let at = servers.pop().unwrap().at.clone();
        clients.settle();
        // Nobody has a reason to go back.
        let before = clients.sum();
        servers.extend(NameServer::start(at, ADDRESSES[1]));
        clients.go_on(5_000);
        assert_eq!(clients.sum().since(&before).answers[1], 0);
    });
    let lost = clients.sum().lost;
    assert!(lost <= CLIENTS * WINDOW, "{lost} are lost");
}
