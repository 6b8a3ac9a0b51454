//! Limits for each client: connections at once and in a time, and what is one client.

use crate::stand::{
    Asker, At, Backend, Caller, Callers, Client, Dir, Host, Namespace, Pen, RealServer, Starter,
    better, wait_until,
};
use std::fs;

/// The count of an outcome.
fn outcome(pen: &Pen, name: &str) -> u64 {
    let json = pen.get("/status.json").body;
    let part = json.split(&format!("\"{name}\":")).nth(1).unwrap();
    part.split([',', '}']).next().unwrap().parse().unwrap()
}

/// The letter that its server says once more.
fn again(client: &Client) -> String {
    client.send("\n");
    client.letter()
}

const DROPS: &str = "drop: ";
const MORE: &str = "more messages like these";

fn with_drops(starter: Starter) -> Starter {
    starter.expect(DROPS).expect(MORE)
}

#[test]
fn a_client_has_so_many_connections_at_once() {
    better!(CLIENT_LIMITS);
    let starter = Starter::new().letters(1).args(["-O", "client_conn_max 3"]);
    let pen = with_drops(starter).web().start();
    let mut open: Vec<Client> = (0..3).map(|_| pen.connect_to("A")).collect();
    // It is closed, and does not wait.
    assert!(pen.connect().ends());
    pen.says("127.0.0.1: as many connections as client_conn_max allows");
    assert_eq!(outcome(&pen, "dropped_conn_max"), 1);
    assert_eq!(outcome(&pen, "client-limit"), 1);
    assert!(pen.get("/metrics").body.contains("\npen_clients_dropped_conn_max_total 1\n"));
    // Others have their own.
    let other = Caller::new(9, &pen);
    assert_eq!(other.letter(), "A");
    // Each that ends makes room for one, whoever ends it.
    drop(open.pop());
    wait_until("a place is free", || pen.letter() == "A");
    pen.ask("close 0");
    wait_until("a place is free", || pen.letter() == "A");
    // The limit is for those who come.
    pen.ask("client_conn_max 1");
    assert!(pen.connect().ends());
    assert_eq!(again(&open[1]), "A");
    pen.ask("client_conn_max 0");
    assert_eq!(pen.letter(), "A");
}

/// However a connection comes to its end, it is not counted for ever.
#[test]
fn a_connection_that_never_was_is_not_counted() {
    better!(CLIENT_LIMITS);
    let starter = Starter::new().absent().args(["-O", "client_conn_max 1", "-b", "0"]);
    let pen = with_drops(starter).expect(" is down").web().start();
    for _ in 0..20 {
        assert!(pen.connect().ends());
        wait_until("it is gone", || pen.get("/status.json").body.contains("\"used\":0"));
    }
    assert_eq!(outcome(&pen, "dropped_conn_max"), 0);
    pen.ask("acl 1 deny 127.0.0.0/8");
    pen.ask("client_acl 1");
    for _ in 0..20 {
        assert!(pen.connect().ends());
        wait_until("it is gone", || pen.get("/status.json").body.contains("\"used\":0"));
    }
    assert_eq!(outcome(&pen, "dropped_conn_max"), 0);
}

#[test]
fn a_client_connects_so_often() {
    better!(CLIENT_LIMITS);
    let starter = Starter::new().letters(1).args(["-O", "client_rate 5/86400"]);
    let pen = with_drops(starter).web().start();
    assert_eq!(pen.letters(8), "AAAAA");
    pen.says("127.0.0.1: more connections than client_rate allows");
    assert_eq!(outcome(&pen, "dropped_rate"), 3);
    // A hundred others are not disturbed.
    let others = Callers::new(&pen);
    assert_eq!(others.letters(1..101), "A".repeat(100));
    assert_eq!(pen.letter(), "");
    // Another rate counts at once; what is owed by the old one is forgotten.
    assert_eq!(pen.ask("client_rate 100/1"), "100/1\n");
    assert_eq!(pen.letters(5), "AAAAA");
    // The share of each comes back, so 2 of them in 2 s and more take more than a second.
    assert_eq!(pen.ask("client_rate 2/2"), "2/2\n");
    let start = std::time::Instant::now();
    let mut served = 0;
    wait_until("five were served", || {
        served += pen.letter().len();
        served == 5
    });
    assert!(start.elapsed().as_millis() >= 1900, "{:?}", start.elapsed());
    pen.ask("no client_rate");
    assert_eq!(pen.letters(5), "AAAAA");
    for word in ["5", "0/1", "5/0", "5/86401", "a/b", "5/1/1"] {
        let reply = pen.ask(&format!("client_rate {word}"));
        assert!(reply.contains(&format!("bad value '{word}'")), "{reply}");
    }
}

/// What one has does not tell the clients of a Unix socket apart.
#[test]
fn clients_of_a_unix_socket_have_no_limit() {
    better!(CLIENT_LIMITS);
    let starter = Starter::unix().letters(1);
    let pen = starter.args(["-O", "client_rate 1/60", "-O", "client_conn_max 1"]).start();
    let open: Vec<Client> = (0..3).map(|_| pen.connect()).collect();
    assert!(open.iter().all(|client| client.letter() == "A"));
}

#[test]
fn a_flow_is_a_connection() {
    better!(CLIENT_LIMITS);
    for balance in ["flow", "datagram"] {
        let starter = Starter::new().udp().letters(2).args(["-r", "-O", "client_conn_max 2"]);
        let starter = starter.args(["-O", &format!("udp_balance {balance}")]);
        let pen = with_drops(starter).web().start();
        let asker = || pen.asker();
        let (one, two, three) = (asker(), asker(), asker());
        for _ in 0..4 {
            assert_ne!([one.letter(), two.letter()].concat(), "");
        }
        three.send("?");
        wait_until("it is dropped", || outcome(&pen, "dropped_conn_max") == 1);
        assert_eq!(Asker::number(9, &pen.at).letters(2).len(), 2);
        // Datagrams of a flow are none of it.
        pen.ask("client_rate 1/86400");
        assert_eq!(one.letters(3).len(), 3);
        // Both of its flows must end.
        while !pen.get("/status.json").body.contains("\"open\":[]") {
            (0..8).for_each(|n| drop(pen.ask(&format!("close {n}"))));
        }
        let letters = three.letter();
        assert!("AB".contains(&letters) && !letters.is_empty(), "{balance}");
        four_is_too_often(&pen);
    }
}

fn four_is_too_often(pen: &Pen) {
    let four = pen.asker();
    four.send("?");
    wait_until("it is dropped", || outcome(pen, "dropped_rate") == 1);
}

/// A flood of clients, each of which comes once: none is refused, and the table of
/// arrivals does not grow.
#[test]
fn a_flood_of_clients_disturbs_nobody() {
    better!(CLIENT_LIMITS);
    let starter = Starter::new().udp().echo().args(["-x", "50", "-O", "client_rate 1/86400"]);
    let pen = with_drops(starter).web().start();
    for number in 0..2000_u16 {
        let [high, low] = number.to_be_bytes();
        let asker = Asker::from(([127, 7, high, low], 0), &pen.at);
        assert_eq!(asker.ask("?"), "?");
    }
    assert_eq!(outcome(&pen, "dropped_rate"), 0);
}

#[test]
fn a_network_is_one_client() {
    better!(CLIENT_LIMITS);
    let starter = Starter::new().letters(3).args(["-O", "tracking_prefix 24/56"]);
    let starter = starter.args(["-O", "client_conn_max 2", "-O", "limit_prefix 25/64"]);
    let pen = with_drops(starter).web().start();
    let callers = Callers::new(&pen);
    let letters =
        |all: &[[u8; 4]]| all.iter().map(|at| callers.letter(*at)).collect::<Vec<_>>().concat();
    // In turn, the first one has server 1.
    assert_eq!(letters(&[[127, 0, 5, 1], [127, 0, 5, 200], [127, 0, 6, 1]]), "BBC");
    assert_eq!(letters(&[[127, 0, 5, 7]]), "B");
    let recent = pen.ask("recent");
    assert!(recent.contains("127.0.5.0/24 connects 3 sx 3 "), "{recent}");
    let json = pen.get("/status.json").body;
    assert!(json.contains("\"client\":\"127.0.5.0/24\",\"server\":1,\"connects\":3,"), "{json}");
    let why = pen.ask("explain 127.0.5.99");
    assert!(why.contains("127.0.5.0/24 came "), "{why}");
    assert!(why.contains("gets server 1 ") && why.ends_with(": it was there last\n"), "{why}");
    assert!(pen.ask("explain 127.0.9.1").contains("127.0.9.0/24 is unknown\n"));
    assert!(pen.ask("explain 127.0.5.0/24").contains("bad address"));
    // A client or its network is forgotten.
    assert_eq!(pen.ask("forget 127.0.5.44"), "1 forgotten\n");
    assert_eq!(pen.ask("forget 127.0.6.0/24"), "1 forgotten\n");
    assert!(pen.ask("forget 127.0.6.1/24").contains("bad address"));
    // Bytes of open connections are the network's.
    let (one, two) = (Caller::new(77, &pen), Caller::new(78, &pen));
    let first = one.connect();
    assert_eq!(first.letter(), "A");
    let second = two.connect();
    assert_eq!(second.letter(), "A");
    wait_until("they are counted", || pen.ask("recent").contains("127.0.0.0/24 connects 2 sx 2 "));
    // The limits have their own length.
    assert_eq!(pen.letter(), "");
    assert_eq!(callers.letter([127, 0, 0, 200]), "A");
    for word in ["24", "33/56", "24/129", "24/56/1"] {
        let reply = pen.ask(&format!("tracking_prefix {word}"));
        assert!(reply.contains(&format!("bad value '{word}'")), "{reply}");
    }
    assert_eq!(pen.ask("tracking_prefix"), "24/56\n");
    assert_eq!(pen.ask("tracking_prefix 32/128"), "32/128\n");
    assert_eq!(pen.ask("explain 127.0.5.99").lines().nth(1), Some("it is unknown"));
}

#[test]
fn the_hash_is_the_networks() {
    better!(CLIENT_LIMITS);
    for kind in ["rendezvous", "modulo"] {
        let pen = Starter::new().letters(5).args(["-h"]).control().start();
        pen.ask(&format!("hash_type {kind}"));
        let server = |last: u8| {
            let why = pen.ask(&format!("explain 10.1.2.{last}"));
            why.rsplit("gets server ").next().unwrap().split(' ').next().unwrap().to_owned()
        };
        let first = server(0);
        assert!((0..50).any(|last| server(last) != first), "{kind}");
        // A network has the hash of its first address.
        pen.ask("tracking_prefix 24/64");
        assert!((0..50).all(|last| server(last) == first), "{kind}");
    }
}

#[test]
fn the_first_half_of_an_ipv6_address_is_one_client() {
    let Some(namespace) = Namespace::new() else { return };
    better!(CLIENT_LIMITS);
    let dir = Dir::new();
    let letter = Backend::letter(At::Unix(dir.file("letter")), 'A');
    let at = At::Inet("[fd00:1::1]:8000".parse().unwrap());
    for address in ["fd00:1::1/64", "fd00:1::2/64", "fd00:1::3/64", "fd00:2::1/64"] {
        namespace.ip(&format!("-6 addr add {address} dev lo nodad"));
    }
    let pen = namespace.pen(&dir, at.clone(), &letter.at);
    let pen =
        with_drops(pen.args(["-O", "client_conn_max 2"])).listen_word("[fd00:1::1]:8000".into());
    let pen = pen.start();
    let caller = |number: u8, source: &str| {
        let way = At::Unix(dir.file(&format!("way{number}")));
        let pen = Starter::at(way).ours().inside(&namespace.name);
        pen.args(["-O", &format!("source {source}")]).server(&at).start()
    };
    let all = [caller(1, "fd00:1::2"), caller(2, "fd00:1::3"), caller(3, "fd00:2::1")];
    let open = [all[0].connect(), all[1].connect()];
    assert!(open.iter().all(|client| client.letter() == "A"));
    assert_eq!(all[0].letter(), "");
    pen.says("fd00:1::2: as many connections as");
    assert_eq!(all[2].letter(), "A");
}

/// The same limit in nginx turns the same clients away.
#[test]
fn nginx_limits_the_same_clients() {
    better!(CLIENT_LIMITS);
    let host = Host::new();
    let echo = Backend::letter(host.at(), 'N');
    let nginx = RealServer::start(&host, &["nginx"], |dir, at| {
        let (conf, dir) = (dir.join("conf"), dir.to_str().unwrap());
        let text = format!(
            "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/log;\n\
             load_module modules/ngx_stream_module.so;\n\
             events {{}}\nstream {{\nlimit_conn_zone $binary_remote_addr zone=a:1m;\n\
             server {{\nlisten {at};\nlimit_conn a 2;\nproxy_pass {};\n}}\n}}\n",
            echo.at
        );
        let text = match fs::metadata("/usr/lib/nginx/modules/ngx_stream_module.so") {
            Ok(_) => text.replace("modules/ngx", "/usr/lib/nginx/modules/ngx"),
            Err(_) => text.replace("load_module modules/ngx_stream_module.so;\n", ""),
        };
        fs::write(&conf, text).unwrap();
        ["-p", dir, "-c", conf.to_str().unwrap()].map(str::to_owned).into()
    });
    let Some(nginx) = nginx else { return };
    let pen = Starter::new().letters(1).args(["-O", "client_conn_max 2"]);
    let pen = with_drops(pen).start();
    let seen = |at: &At, letter: &str| {
        // nginx counts the connection by which the start was noticed until it has ended.
        wait_until("one is served", || Client::new(at).letter() == letter);
        let mut open = Vec::new();
        wait_until("two are served", || {
            let client = Client::new(at);
            if client.letter() == letter {
                open.push(client);
            }
            open.len() == 2
        });
        let mut refused = vec![Client::new(at).letter(), Client::new(at).letter()];
        open.pop();
        wait_until("one has left", || Client::new(at).letter() == letter);
        refused.push(again(&open[0]));
        refused.join(" ").replace(letter, "served")
    };
    assert_eq!(seen(&nginx.at, "N"), "  served");
    assert_eq!(seen(&pen.at, "A"), "  served");
}
