//! What holds for TCP and for UDP (`-U`) alike: which server a client gets, and
//! which one when that fails.

use crate::differences::{Difference, REFUSED_CONNECT, UDP_REFUSED};
use crate::stand::{
    Asker, At, Backend, Caller, Host, Pen, Responder, Starter, better, wait_until, worse,
};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}
use Transport::{Tcp, Udp};

const BOTH: [Transport; 2] = [Tcp, Udp];

/// A server that answers with its letter.
enum Server {
    Tcp(Backend),
    Udp(Responder),
}

impl AsRef<At> for Server {
    fn as_ref(&self) -> &At {
        match self {
            Server::Tcp(server) => &server.at,
            Server::Udp(server) => &server.at,
        }
    }
}

impl Server {
    fn at(&self) -> At {
        self.as_ref().clone()
    }

    /// How many connections or datagrams it has had.
    fn count(&self) -> usize {
        match self {
            Server::Tcp(server) => server.count(),
            Server::Udp(server) => server.count(),
        }
    }
}

/// A client that connects for each letter, or has one flow for all.
enum Client<'a> {
    Tcp(&'a Pen),
    Udp(Asker),
}

impl Client<'_> {
    fn letters(&self, count: usize) -> String {
        match self {
            Client::Tcp(pen) => pen.letters(count),
            Client::Udp(asker) => asker.letters(count),
        }
    }
}

impl Transport {
    fn starter(self, host: &Host) -> Starter {
        match self {
            Tcp => Starter::new(host),
            Udp => Starter::datagrams(host),
        }
    }

    fn server(self, at: At, letter: char) -> Server {
        match self {
            Tcp => Server::Tcp(Backend::letter(at, letter)),
            Udp => Server::Udp(Responder::letter(at, letter)),
        }
    }

    /// Servers that answer with A, B, C and so on.
    fn servers(self, host: &Host, count: u8) -> Vec<Server> {
        (0..count).map(|n| self.server(host.at(), char::from(b'A' + n))).collect()
    }

    fn client(self, pen: &Pen) -> Client<'_> {
        match self {
            Tcp => Client::Tcp(pen),
            Udp => Client::Udp(pen.asker()),
        }
    }

    /// The letters of so many new connections or flows of one address.
    fn letters(self, pen: &Pen, count: usize) -> String {
        (0..count).map(|_| self.client(pen).letters(1)).collect()
    }

    /// The letter that the client 127.0.0.N gets.
    fn letter_of(self, number: u8, host: &Host, pen: &Pen) -> String {
        match self {
            Tcp => Caller::new(host, number, pen).letter(),
            Udp => Asker::number(number, &pen.at).letter(),
        }
    }

    /// What the C program does with a server that refuses.
    fn refused(self) -> &'static Difference {
        match self {
            Tcp => &REFUSED_CONNECT,
            Udp => &UDP_REFUSED,
        }
    }
}

/// The transports, without those whose refusals the C program does not notice.
fn that_notice_refusals() -> impl Iterator<Item = Transport> {
    BOTH.into_iter().filter(|transport| !better(transport.refused()))
}

#[test]
fn in_turn() {
    for transport in BOTH {
        let host = Host::new();
        let servers = transport.servers(&host, 3);
        let pen = transport.starter(&host).args(["-r"]).servers(&servers).start();
        assert_eq!(transport.letters(&pen, 7), "BCABCAB", "{transport:?}");
    }
}

#[test]
fn prio_takes_the_lowest() {
    for transport in BOTH {
        let host = Host::new();
        let servers = transport.servers(&host, 3);
        let mut starter = transport.starter(&host).args(["-r", "-O", "prio"]);
        for (server, prio) in servers.iter().zip([5, 2, 2]) {
            starter = starter.operand(format!("{}:0:0:0:{prio}", server.at()));
        }
        let pen = starter.control(host.at()).start();
        assert_eq!(transport.letters(&pen, 4), "BBBB", "{transport:?}");
        assert_eq!(pen.ask("server 0 prio 1"), "");
        assert_eq!(transport.letters(&pen, 2), "AA", "{transport:?}");
    }
}

#[test]
fn a_servers_own_access_list_sends_clients_on() {
    for transport in BOTH {
        let host = Host::new();
        let servers = transport.servers(&host, 2);
        let starter = transport.starter(&host).args(["-O", "acl 1 deny 127.0.0.1"]);
        let pen = starter.servers(&servers).control(host.at()).start();
        assert_eq!(pen.ask("server 1 acl 1"), "");
        assert_eq!(transport.letters(&pen, 2), "AA", "{transport:?}");
        // The others are in turn: 0 and 1.
        let others = [2, 3].map(|number| transport.letter_of(number, &host, &pen));
        assert_eq!(others, ["A", "B"], "{transport:?}");
    }
}

#[test]
fn a_refused_client_goes_to_the_next_server() {
    for transport in BOTH {
        if transport == Udp && better(&UDP_REFUSED) {
            continue;
        }
        let host = Host::new();
        let servers = transport.servers(&host, 2);
        let pen = transport
            .starter(&host)
            .control(host.at())
            .server(&servers[0].at())
            .server(&host.at())
            .server(&servers[1].at())
            .expect("server 1")
            .start();
        let client = transport.client(&pen);
        if transport == Tcp && worse(&REFUSED_CONNECT) {
            assert_eq!(client.letters(3), "");
            continue;
        }
        // A datagram is never sent twice by the client.
        assert_eq!(client.letters(1), "B", "{transport:?}");
        pen.says("is down for 30 s");
        let told = pen.messages().iter().filter(|m| m.contains(" is down for ")).count();
        assert_eq!(told, 1);
        // The client stays with the server that took it in.
        assert_eq!(client.letters(2), "BB", "{transport:?}");
        assert_eq!(transport.letters(&pen, 2), "BB", "{transport:?}");
        wait_until("server 1 has no connection", || pen.load(1) == 0);
    }
}

#[test]
fn fail_over_goes_around() {
    for transport in that_notice_refusals() {
        let host = Host::new();
        let servers = transport.servers(&host, 1);
        let starter = transport.starter(&host).servers(&servers).server(&host.at());
        let starter = starter.server(&host.at()).control(host.at());
        let pen = starter.expect("is down for").start();
        assert_eq!(transport.letters(&pen, 1), "A", "{transport:?}");
        wait_until("both are down", || {
            pen.messages().iter().filter(|m| m.contains(" is down for ")).count() == 2
        });
        // Tried with three servers, but come once.
        let sums = if transport == Udp { "sx 2 rx 1" } else { "sx 1 rx 0" };
        wait_until("it counts", || pen.ask("recent") == format!("127.0.0.1 connects 1 {sums}\n"));
    }
}

#[test]
fn stubborn_means_no_fail_over() {
    for transport in that_notice_refusals() {
        let host = Host::new();
        let servers = transport.servers(&host, 1);
        let emergency = transport.server(host.at(), 'E');
        let pen = transport
            .starter(&host)
            .args(["-s", "-r", "-e", &emergency.at().to_string()])
            .servers(&servers)
            .server(&host.at())
            .expect("server 1")
            .expect("no server available")
            .expect("drop: 127.0.0.1: refused: ")
            .start();
        match transport.client(&pen) {
            Client::Tcp(pen) => assert_eq!(pen.letter(), "", "must be closed"),
            Client::Udp(asker) => asker.send("lost"),
        }
        pen.says("is down for 30 s");
        // Blacklisted now: passed over when it is its turn.
        assert_eq!(transport.letters(&pen, 3), "AAA", "{transport:?}");
        assert_eq!((servers[0].count(), emergency.count()), (3, 0));
    }
}

#[test]
fn the_emergency_server_comes_last() {
    for transport in that_notice_refusals() {
        let host = Host::new();
        let mut servers = transport.servers(&host, 2);
        let emergency = transport.server(host.at(), 'E');
        let pen = transport
            .starter(&host)
            .args(["-b", "1", "-e", &emergency.at().to_string()])
            .servers(&servers)
            .expect("server 0")
            .expect("server 1")
            .start();
        let client = transport.client(&pen);
        assert_eq!(client.letters(1), "B", "{transport:?}");
        let at = servers.pop().unwrap().at();
        assert_eq!(client.letters(1), "A", "{transport:?}");
        servers.clear();
        assert_eq!(client.letters(2), "EE", "{transport:?}");
        // No client comes back to it.
        let _again = transport.server(at, 'B');
        wait_until("a regular server is used again", || transport.letters(&pen, 1) == "B");
    }
}

#[test]
fn a_blacklisted_server_is_used_again_after_its_time() {
    for transport in that_notice_refusals() {
        let host = Host::new();
        let servers = transport.servers(&host, 1);
        let down = host.at();
        let starter = transport.starter(&host).args(["-r", "-b", "1"]);
        let pen = starter.servers(&servers).server(&down).expect("server 1").start();
        let failed = Instant::now();
        assert_eq!(transport.letters(&pen, 1), "A", "{transport:?}");
        pen.says("is down for 1 s");
        let up = transport.server(down, 'B');
        wait_until("server 1 is used again", || transport.letters(&pen, 1) == "B");
        assert!(failed.elapsed() >= Duration::from_secs(1), "too early");
        assert_eq!(up.count(), 1);
        pen.says("is up again");
    }
}
