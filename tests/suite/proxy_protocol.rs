//! The PROXY protocol, as pen receives it (`accept_proxy`) and sends it (`send_proxy`).

use crate::stand::{
    Asker, At, Backend, Caller, Client, Host, Pen, Responder, Starter, better, run, wait_for,
    wait_until,
};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 for a client at this address, over TCP.
pub(crate) fn v2(from: [u8; 4], port: u16) -> Vec<u8> {
    v2_over(1, from, port)
}

/// The same over TCP (1) or UDP (2). The client has come to 192.0.2.80:443.
fn v2_over(transport: u8, from: [u8; 4], port: u16) -> Vec<u8> {
    let addresses = [&from[..], &[192, 0, 2, 80], &port.to_be_bytes(), &[1, 187]].concat();
    [SIGNATURE, &[0x21, 0x10 | transport, 0, 12], &addresses].concat()
}

const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A header of version 1 for the client 198.51.100.7.
const LINE: &str = "PROXY TCP4 198.51.100.7 192.0.2.80 56324 443\r\n";

/// A pen that accepts headers, and logs its connections.
fn accepting() -> Starter {
    of(Starter::new())
}

fn of(starter: Starter) -> Starter {
    let log = format!("conn_log {}", starter.host.file("conn.log").display());
    starter.args(["-O", "accept_proxy", "-O", &log]).web()
}

/// Waits for a line of the connection log that begins so.
fn is_logged(pen: &Pen, client: &str) {
    wait_until(format!("{client} is logged"), || {
        let text = pen.text("conn.log");
        text.lines().any(|line| line.split(' ').nth(2) == Some(client))
    });
}

/// How many clients had no header.
fn refused(pen: &Pen) -> String {
    pen.get("/status.json").member("\"outcomes\":", "dropped_no_header").to_owned()
}

#[test]
fn the_header_names_the_client_everywhere() {
    better!(PROXY);
    let pen = accepting().args(["-O", "http"]).echo().start();
    let client = pen.connect();
    client.send(LINE);
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.end_sending();
    let text = String::from_utf8(client.rest()).unwrap();
    assert!(text.contains("X-Forwarded-For: 198.51.100.7\r\n"), "{text}");
    is_logged(&pen, "198.51.100.7:56324");
    assert!(pen.ask("recent").starts_with("198.51.100.7 connects 1 "), "{}", pen.ask("recent"));
    assert!(pen.ask("explain 198.51.100.7").contains("was on server 0"));
}

#[test]
fn a_header_may_come_in_whatever_pieces() {
    better!(PROXY);
    let pen = accepting().echo().start();
    let v6 = [SIGNATURE, &[0x21, 0x21, 0, 36], &[0x20; 36]].concat();
    let long = [SIGNATURE, &[0x20, 0, 0x0f, 0xf0], &[b'\n'; 0xff0]].concat();
    for header in [LINE.as_bytes(), b"PROXY UNKNOWN x\r\n", &v2([1; 4], 9), &v6, LOCAL, &long] {
        // With data behind it in the same packet, alone, byte by byte, in halves.
        let (first, second) = header.split_at(header.len() / 2);
        let bytes: Vec<&[u8]> =
            header.chunks(1).take(200).chain(header.chunks(200).skip(1)).collect();
        let whole = [header, b"PROXY or not"].concat();
        let rows: [&[&[u8]]; 4] = [&[&whole], &[header, b"PROXY or not"], &bytes, &[first, second]];
        for pieces in rows.into_iter().filter(|pieces| pieces.concat().starts_with(header)) {
            let client = pen.connect();
            client.0.set_nodelay(true).unwrap();
            for piece in pieces {
                client.send(piece);
            }
            if !pieces.concat().ends_with(b"not") {
                client.send("PROXY or not");
            }
            assert_eq!(client.receive(12), b"PROXY or not");
            client.echoes("more");
        }
    }
    assert_eq!(refused(&pen), "0");
}

#[test]
fn nothing_happens_before_the_header_is_whole() {
    better!(PROXY);
    let pen = accepting().letters(1).start();
    let client = pen.connect();
    client.send(&LINE[..LINE.len() - 1]);
    assert!(client.is_quiet());
    assert_eq!(pen.servers[0].count(), 0);
    assert_eq!(pen.ask("recent"), "");
    client.send("\n");
    // A header without any data.
    assert_eq!(client.letter(), "A");
}

/// The whole header has 5 seconds, however its bytes come, and its slot is free again.
#[test]
fn a_header_that_is_never_whole_ends_the_connection() {
    better!(PROXY);
    let pen = accepting().args(["-x", "2"]).letters(1).expect("drop: 127.0.0.1: ").expect("wait");
    let pen = pen.start();
    let (silent, slow) = (pen.connect(), pen.connect());
    silent.send("PRO");
    let start = Instant::now();
    for byte in LINE.bytes().cycle().filter(|byte| *byte != b'\n') {
        if start.elapsed() > Duration::from_secs(20) || (&slow.0).write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        if start.elapsed() > Duration::from_secs(4) && slow.0.take_error().unwrap().is_some() {
            break;
        }
    }
    assert!(silent.ends() && slow.ends());
    let time = start.elapsed();
    assert!(time > Duration::from_secs(3) && time < Duration::from_secs(15), "{time:?}");
    let clients = [pen.connect(), pen.connect()];
    clients.iter().for_each(|client| client.send(LOCAL));
    assert!(clients.iter().all(|client| client.letter() == "A"));
    assert_eq!(refused(&pen), "2");
    assert_eq!(pen.times_said("no whole PROXY header within 5 s"), 2);
}

#[test]
fn what_is_no_header_ends_the_connection() {
    better!(PROXY);
    let pen = accepting().letters(1).expect("drop: ").start();
    for text in [
        "GET / HTTP/1.1\r\n",
        "PROXY TCP4 198.51.100.07 192.0.2.80 1 2\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.80  1 2\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.80 1 2\n",
        "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        let client = pen.connect();
        client.send(text);
        assert!(client.ends(), "{text}");
    }
    // One that leaves before its header is whole.
    drop(pen.connect());
    wait_until("all are counted", || refused(&pen) == "6");
    assert_eq!(pen.servers[0].count(), 0);
    let ends = || pen.get("/status.json").member("\"ends\":", "no-header").to_owned();
    wait_until("their ends are counted", || ends() == "6");
    assert_eq!(pen.ask("recent"), "");
}

#[test]
fn only_those_of_the_access_list_may_send_headers() {
    better!(PROXY);
    let starter = accepting().args(["-O", "acl 3 permit 127.0.0.1", "-O", "proxy_acl 3"]);
    let pen = starter.letters(1).expect("drop: 127.0.0.9: ").start();
    let client = pen.connect();
    client.send(LINE);
    assert_eq!(client.letter(), "A");
    let caller = Caller::new(9, &pen);
    let stranger = caller.connect();
    stranger.send(LINE);
    assert!(stranger.ends());
    assert_eq!(refused(&pen), "1");
    pen.says("drop: 127.0.0.9: PROXY header refused: proxy_acl denies it");
}

/// The lists are about the client that is named, and so is the table.
#[test]
fn the_named_client_is_denied_and_comes_back_to_its_server() {
    better!(PROXY);
    let starter = accepting().args(["-O", "acl 2 deny 198.51.100.9", "-O", "client_acl 2"]);
    let pen = starter.letters(3).expect("drop: 198.51.100.9: ").start();
    let letter = |last: u8| {
        let client = pen.connect();
        client.send(v2([198, 51, 100, last], 80));
        client.letter()
    };
    let first: Vec<String> = (1..=6).map(letter).collect();
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{first:?}");
    assert_eq!((1..=6).map(letter).collect::<Vec<_>>(), first);
    assert_eq!(letter(9), "");
}

/// A balancer that checks pen is no client, but is served.
#[test]
fn a_local_connection_has_no_place_in_the_client_table() {
    better!(PROXY);
    let pen = accepting().letters(1).start();
    for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        let client = pen.connect();
        client.send(header);
        assert_eq!(client.letter(), "A");
        let own = client.0.local_addr().unwrap().to_string();
        // The slot of the connection before may not be free yet.
        let shown = ["connection 0", "connection 1"].map(|line| pen.ask(line)).concat();
        assert!(shown.contains("client = -1, server = 0"), "{shown}");
        drop(client);
        is_logged(&pen, &own);
    }
    assert_eq!(pen.ask("recent"), "");
}

#[test]
fn headers_come_through_a_unix_socket() {
    better!(PROXY);
    let pen = of(Starter::unix()).echo().start();
    let client = pen.connect();
    client.send(&LINE[..20]);
    client.send(format!("{}more", &LINE[20..]));
    assert_eq!(client.receive(4), b"more");
    assert!(pen.ask("recent").starts_with("198.51.100.7 "));
    let local = pen.connect();
    local.send(LOCAL);
    local.echoes("local");
}

/// A server that tells what each connection begins with, up to so many bytes.
fn telling(at: At, len: usize) -> (Backend, Receiver<(Vec<u8>, SocketAddr)>) {
    let (sender, receiver) = mpsc::channel();
    let server = Backend::start(at, move |stream| {
        let mut data = vec![0; len];
        let mut stream: &TcpStream = &stream;
        let mut have = 0;
        while have < len {
            match stream.read(&mut data[have..]) {
                Ok(n) if n > 0 => have += n,
                _ => break,
            }
        }
        data.truncate(have);
        if let Ok(peer) = stream.peer_addr() {
            let _ = sender.send((data, peer));
        }
        let _ = stream.read(&mut [0]);
    });
    (server, receiver)
}

const LONG: Duration = Duration::from_secs(20);

/// A pen before such a server, which gets this header.
fn sending(send: &str, len: usize) -> (Pen, Backend, Receiver<(Vec<u8>, SocketAddr)>) {
    let host = Host::new();
    let (server, told) = telling(host.at(), len);
    let pen = Starter::on(&host).control().args(["-O", &format!("send_proxy {send}")]);
    (pen.server(&server.at).start(), server, told)
}

#[test]
fn servers_get_a_header_before_the_first_byte() {
    better!(PROXY);
    let (pen, _server, told) = sending("v1", 500);
    let client = pen.connect();
    client.send("hello");
    client.end_sending();
    let (from, to) = (client.0.local_addr().unwrap(), pen.at.inet());
    let ips = format!("{} {}", from.ip(), to.ip());
    let line = format!("PROXY TCP4 {ips} {} {}\r\nhello", from.port(), to.port());
    let (data, _) = told.recv_timeout(LONG).unwrap();
    assert_eq!(String::from_utf8(data).unwrap(), line);
    drop(client);

    assert_eq!(pen.ask("server 0 send_proxy v2"), "");
    let client = pen.connect();
    client.send("hello");
    client.end_sending();
    let (data, _) = told.recv_timeout(LONG).unwrap();
    let from = client.0.local_addr().unwrap();
    let SocketAddr::V4(to) = pen.at.inet() else { panic!("not IPv4") };
    let ports = [from.port(), to.port()].map(u16::to_be_bytes).concat();
    let addresses = [&[127, 0, 0, 1][..], &to.ip().octets(), &ports].concat();
    let wanted = [SIGNATURE, b"\x21\x11\0\x0c", &addresses, b"hello"].concat();
    assert_eq!(data, wanted);
    drop(client);
    // The server's own word goes before that for all.
    assert!(pen.ask("servers").contains(" send_proxy v2 state "), "{}", pen.ask("servers"));
    let text = pen.written();
    assert!(text.contains("\nsend_proxy v1\n") && text.contains(" send_proxy v2\n"), "{text}");
    pen.ask("server 0 send_proxy off");
    let client = pen.connect();
    client.send("hello");
    client.end_sending();
    assert_eq!(told.recv_timeout(LONG).unwrap().0, b"hello");
    pen.ask("server 0 send_proxy default");
    assert!(!pen.ask("servers").contains("send_proxy"));
}

/// A server that speaks first must get the header without any byte of the client.
#[test]
fn a_header_does_not_wait_for_the_client() {
    better!(PROXY);
    let (pen, _server, told) = sending("v2", 28);
    let _client = pen.connect();
    let (data, _) = told.recv_timeout(LONG).unwrap();
    assert_eq!((data.len(), &data[..12]), (28, SIGNATURE));
    drop(pen);
}

/// pen's own connections say so: checks, `--try`, idlers.
#[test]
fn checks_idlers_and_try_send_headers_of_their_own() {
    better!(PROXY);
    let (pen, server, told) = sending("v1", 32);
    let at = server.at.inet();
    let is_own = |(data, peer): (Vec<u8>, SocketAddr)| {
        let ips = format!("{} {}", peer.ip(), at.ip());
        let line = format!("PROXY TCP4 {ips} {} {}\r\n", peer.port(), at.port());
        assert_eq!(String::from_utf8(data).unwrap(), line[..32]);
    };
    pen.ask("check 1");
    is_own(told.recv_timeout(LONG).unwrap());
    pen.ask("check 0");
    pen.ask("idlers 1");
    is_own(told.recv_timeout(LONG).unwrap());
    pen.ask("idlers 0");
    let words = ["--try", "-O", "send_proxy v1", "127.0.0.1:0", &server.at.to_string()];
    let (status, table, errors) = run(words);
    assert_eq!((status, errors.as_str()), (0, ""), "{table}");
    is_own(told.recv_timeout(LONG).unwrap());
    while told.try_recv().is_ok() {}
    pen.ask("send_proxy v2");
    pen.ask("check_send PING");
    pen.ask("check 1");
    let wanted = [LOCAL, b"PING"].concat();
    wait_for(LONG, "a LOCAL check", || told.try_iter().any(|(data, _)| data == wanted));
    // Another port is another service.
    let (other, asked) = telling(At::Inet((at.ip(), at.port() + 500).into()), 4);
    pen.ask(&format!("server 0 check_port {}", other.at.inet().port()));
    wait_for(LONG, "a plain check", || asked.try_iter().any(|(data, _)| data == b"PING"));
    // It still checks.
    drop(pen);
}

/// Two pens in a row, of which each has the client in its table; a check of the first one
/// is nobody to the second.
#[test]
fn the_client_comes_through_two_pens() {
    better!(PROXY);
    for send in ["v1", "v2"] {
        let (starter, hears) = (accepting(), format!("send_proxy {send}"));
        let back = starter.letters(1).start();
        let front = Starter::new().control().args(["-O", &hears]).server(&back.at).start();
        assert_eq!(Caller::new(9, &front).letter(), "A");
        assert!(back.ask("recent").starts_with("127.0.0.9 "), "{send}");
        if send == "v2" {
            front.ask("check 1");
            wait_until("a check has come", || {
                back.get("/status.json").member("\"outcomes\":", "accepted") != "1"
            });
            assert_eq!(back.ask("recent").lines().count(), 1, "{}", back.ask("recent"));
        }
    }
}

/// What a pen gets in a header it also sends.
#[test]
fn headers_are_passed_on() {
    better!(PROXY);
    let (pen, _server, told) = sending("v1", LINE.len());
    pen.ask("accept_proxy");
    let client = pen.connect();
    client.send(v2([198, 51, 100, 7], 56324));
    assert_eq!(told.recv_timeout(LONG).unwrap().0, LINE.as_bytes());
    pen.ask("send_proxy v2");
    let (send, received) =
        (b"PROXY UNKNOWN\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", [LOCAL, &[b'x'; 30]].concat());
    let client = Client::new(&pen.at);
    client.send(send);
    assert_eq!(told.recv_timeout(LONG).unwrap().0, received);
}

/// A client of a Unix socket has no address.
#[test]
fn a_client_without_an_address_is_sent_as_such() {
    better!(PROXY);
    let host = Host::new();
    let (server, told) = telling(host.at(), 16);
    let pen = Starter::unix().control().server(&server.at).args(["-O", "send_proxy v2"]).start();
    let _first = pen.connect();
    assert_eq!(told.recv_timeout(LONG).unwrap().0, LOCAL);
    pen.ask("send_proxy v1");
    let second = pen.connect();
    second.send("x");
    assert_eq!(told.recv_timeout(LONG).unwrap().0, b"PROXY UNKNOWN\r\nx");
}

#[test]
fn datagrams_to_a_server_begin_with_a_header_each() {
    better!(PROXY);
    let pen = Starter::new().udp().control().args(["-O", "send_proxy v2"]).echo().start();
    let asker = Asker::number(7, &pen.at);
    let SocketAddr::V4(to) = pen.at.inet() else { panic!("not IPv4") };
    let ports = [asker.addr().port(), to.port()].map(u16::to_be_bytes).concat();
    let addresses = [&[127, 0, 0, 7][..], &to.ip().octets(), &ports].concat();
    let header = [SIGNATURE, b"\x21\x12\0\x0c", &addresses].concat();
    for text in [&b"one"[..], b"two", b""] {
        asker.send(text);
        // The server sends back all that it got.
        assert_eq!(asker.receive(), [&header, text].concat());
    }
    // The bytes of the client are counted without it.
    wait_until("all is counted", || pen.ask("recent").contains(" sx 90 rx 6\n"));
}

/// Clients that come through one socket of a balancer are told apart.
#[test]
fn datagrams_of_clients_are_told_apart_by_their_headers() {
    better!(PROXY);
    let starter = of(Starter::new().udp()).args(["-r"]).expect("drop: 127.0.0.1: ");
    let pen = starter.letters(2).start();
    let asker = pen.asker();
    let ask = |last: u8| {
        let question = [v2_over(2, [198, 51, 100, last], 53), b"?".to_vec()].concat();
        asker.send(question);
        String::from_utf8(asker.receive()).unwrap()
    };
    // An answer has no header.
    let first = ask(1);
    assert_eq!(first.len(), 2, "{first}");
    assert_ne!(ask(2), first);
    assert_eq!(ask(1), first);
    let recent = pen.ask("recent");
    assert!(recent.contains("198.51.100.1 ") && recent.contains("198.51.100.2 "), "{recent}");
    // One without a header, one that has a part of it.
    asker.send("?");
    asker.send(&v2_over(2, [1; 4], 1)[..20]);
    wait_until("both are counted", || refused(&pen) == "2");
    // One by the balancer itself.
    let local = [LOCAL, b"?"].concat();
    asker.send(&local);
    assert_eq!(asker.receive().len(), 2);
    assert_eq!(pen.ask("recent").lines().count(), 2);
    let heard: usize = pen.servers.iter().map(|server| server.count()).sum();
    assert_eq!(heard, 4);
}

#[test]
fn only_those_of_the_access_list_may_send_datagrams_with_headers() {
    better!(PROXY);
    let starter = of(Starter::new().udp()).args(["-O", "acl 3 permit 127.0.0.1"]);
    let pen = starter.args(["-O", "proxy_acl 3"]).letters(1).expect("drop: 127.0.0.9: ").start();
    let question = [v2_over(2, [198, 51, 100, 7], 53), b"?".to_vec()].concat();
    Asker::number(9, &pen.at).send(&question);
    wait_until("it is counted", || refused(&pen) == "1");
    let asker = pen.asker();
    asker.send(&question);
    assert_eq!(asker.receive(), b"A?");
}

/// The refused datagram of a client goes to the next server with its header.
#[test]
fn a_refused_datagram_gets_a_header_again() {
    better!(PROXY);
    let starter = Starter::new().udp().control().args(["-r", "-O", "send_proxy v2"]);
    let pen = starter.absent().echo().expect("server 0").start();
    let asker = Asker::from((Ipv4Addr::new(127, 0, 0, 7), 0), &pen.at);
    for _ in 0..3 {
        asker.send("?");
        let answer = asker.receive();
        assert_eq!((answer.len(), &answer[..12]), (29, SIGNATURE));
    }
}

/// Both kinds of headers, byte for byte, between two pens over UDP.
#[test]
fn datagrams_come_through_two_pens() {
    better!(PROXY);
    let host = Host::new();
    let server = Responder::letter(host.at(), 'A');
    let back = of(Starter::on(&host).udp()).server(&server.at).start();
    let front = Starter::new().udp().args(["-O", "send_proxy v1"]).server(&back.at).start();
    assert_eq!(Asker::number(7, &front.at).letters(3), "AAA");
    assert!(back.ask("recent").starts_with("127.0.0.7 connects 1 "));
    assert_eq!(server.heard().last().unwrap().1, b"?");
}
