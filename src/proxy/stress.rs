//! Many threads at once on the tables that all connections share. What must
//! hold is looked at while they run, and again when all is over.

use super::search::Search;
use super::servers::Servers;
use crate::pool::choice::{Modes, Target};
use crate::pool::clients::{Client, ClientTable};
use crate::pool::request::Request;
use crate::pool::server::Server;
use crate::proxy::slots::Connections;
use crate::sys::addr;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u32 = 8;
const ROUNDS: u32 = 4000;
const SLOTS: usize = 6;
const SERVERS: usize = 3;
/// Most connections on a server.
const MAX: u32 = 2;
/// Clients that the table has room for, of twice as many.
const CLIENTS: u32 = 16;

struct Hall {
    servers: Arc<Servers>,
    connections: Arc<Connections>,
    clients: Mutex<ClientTable>,
    /// Who holds what, counted from outside: never more than there is.
    on_server: [AtomicU32; SERVERS],
    in_slot: [AtomicBool; SLOTS],
    served: AtomicU32,
}

impl Hall {
    fn new() -> Hall {
        let servers = Arc::new(Servers::default());
        for number in 1..=SERVERS {
            let word = format!("127.0.0.{number}:80:{MAX}");
            let spec = addr::server(&word, None).unwrap();
            servers.table().servers.push(Server::new(spec));
        }
        Hall {
            servers,
            connections: Connections::new(SLOTS),
            clients: Mutex::new(ClientTable::new(CLIENTS as usize)),
            on_server: Default::default(),
            in_slot: Default::default(),
            served: AtomicU32::new(0),
        }
    }

    /// One connection as `accept::serve` makes it, without the sockets.
    fn connection(&self, number: u32) {
        let dice = number.wrapping_mul(2_654_435_761) >> 16;
        let client = Client::Inet([127, 1, 0, (dice % (2 * CLIENTS)) as u8].into());
        let slot = self.connections.take(|| false, Duration::from_secs(20));
        let mut slot = slot.expect("a slot gets free");
        slot.enter();
        let number = slot.index.expect("it has a number now");
        assert!(!self.in_slot[number].swap(true, SeqCst), "given twice");
        let visit = crate::lock(&self.clients).visit(client, Instant::now(), Duration::ZERO);
        let modes = Modes { weight: dice % 3 == 0, roundrobin: dice % 5 == 0, ..Modes::default() };
        let request = Request {
            client,
            port: 1,
            came_in: 0,
            last: visit.server,
            modes: &modes,
            acls: &[],
            timeout: Duration::from_secs(3),
            on: &[],
            not: &[],
        };
        // As many places as slots: one is always free, unless all are down.
        if let Some(lease) = Search::new(&self.servers).next(&request) {
            let Target::Server(index) = lease.target else {
                panic!("{:?}: there is none", lease.target);
            };
            let load = self.on_server[index].fetch_add(1, SeqCst) + 1;
            assert!(load <= MAX, "{load} connections on server {index}");
            crate::lock(&self.clients).remember(client, index);
            match dice % 7 {
                0 => drop(lease.failed(Duration::ZERO, "")),
                1 => drop(lease.succeeded(Instant::now())),
                2 => drop(self.connections.content(number)),
                _ => thread::yield_now(),
            }
            visit.traffic.sx.add(1);
            self.served.fetch_add(1, SeqCst);
            self.on_server[index].fetch_sub(1, SeqCst);
        }
        self.in_slot[number].store(false, SeqCst);
    }

    /// Somebody at the control port, until the others are done.
    fn changes(&self, done: &AtomicBool) {
        let mut port = 80;
        while !done.load(SeqCst) {
            port = 160 - port;
            let mut table = self.servers.table();
            table.get_mut(Target::Server(1)).unwrap().port = port;
            drop(table);
            self.connections.wake();
            assert!(self.connections.taken() <= SLOTS);
            thread::yield_now();
        }
    }
}

#[test]
fn many_threads_on_the_tables() {
    let hall = Hall::new();
    let start = Barrier::new(THREADS as usize);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let changes = scope.spawn(|| hall.changes(&done));
        let all: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (hall, start) = (&hall, &start);
                scope.spawn(move || {
                    start.wait();
                    (0..ROUNDS).for_each(|round| hall.connection(round * THREADS + thread));
                })
            })
            .collect();
        let ends: Vec<_> = all.into_iter().map(|one| one.join()).collect();
        done.store(true, SeqCst);
        changes.join().unwrap();
        assert!(ends.iter().all(Result::is_ok));
    });
    assert!(hall.served.load(SeqCst) > THREADS * ROUNDS / 2);
    // All is given back.
    let loads = hall.servers.table().servers.iter().map(|s| s.connections).sum::<u32>();
    assert_eq!((hall.connections.taken(), loads), (0, 0));
    assert_eq!(hall.connections.used_and_last().0, 0);
    // Everybody is in the table once, and in its list once.
    let table = crate::lock(&hall.clients);
    let everybody: HashSet<Client> = table.records().iter().map(|e| e.client).collect();
    assert_eq!(everybody.len(), CLIENTS as usize);
    let listed: Vec<usize> = table.recent().map(|(slot, _)| slot).collect();
    let slots: HashSet<usize> = listed.iter().copied().collect();
    assert_eq!((listed.len(), slots.len()), (CLIENTS as usize, CLIENTS as usize));
}
