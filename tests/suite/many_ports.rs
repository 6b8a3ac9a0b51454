//! Several ports, with one table of clients.

use crate::stand::{
    At, Backend, Client, Host, Pen, RealServer, Responder, Starter, better, refused, run,
    wait_until,
};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Ports of a host that nobody has.
fn ports<const N: usize>(host: &Host) -> [At; N] {
    std::array::from_fn(|_| host.at())
}

/// The word of the command line that names them.
fn word(all: &[&At]) -> String {
    all.iter().map(|at| at.to_string()).collect::<Vec<_>>().join(",")
}

/// The letters that new clients get at these ports.
fn letters(all: &[&At]) -> String {
    all.iter().map(|at| Client::new(at).letter()).collect()
}

fn moves(pen: &Pen, all: &[&At]) {
    assert_eq!(pen.ask(&format!("listen {}", word(all))), word(all) + "\n");
}

#[test]
fn a_client_is_the_same_at_each_port() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b, c] = ports(&host);
    let starter = Starter::on(&host).listen_word(word(&[&a, &b, &c])).letters(3);
    let pen = starter.control().start();
    assert_eq!(pen.ask("listen"), word(&[&a, &b, &c]) + "\n");
    assert_eq!(letters(&[&c, &a, &b, &a]), "BBBB");
}

#[test]
fn a_move_keeps_what_stays() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b, c] = ports(&host);
    let starter = Starter::on(&host).listen_word(word(&[&a, &b])).args(["-x", "1"]).letters(1);
    let pen = starter.control().expect("clients wait: all ").start();
    let first = Client::new(&a);
    assert_eq!(first.letter(), "A");
    // They wait at a port that stays and at one that goes.
    let waiting = [Client::new(&a), Client::new(&b)];
    moves(&pen, &[&c, &a]);
    drop(first);
    let [stays, goes] = waiting;
    assert_eq!(goes.letter(), "A");
    drop(goes);
    assert_eq!(stays.letter(), "A");
    drop(stays);
    wait_until("the port that is left is closed", || b.connect().is_err());
    assert_eq!(letters(&[&a, &c]), "AA");
}

#[test]
fn no_client_is_lost_on_a_port_that_stays() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [stays, one, other] = ports(&host);
    let pen = Starter::on(&host).listen_word(word(&[&stays, &one])).letters(1).control().start();
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    assert_eq!(letters(&[&stays]), "A");
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        for round in 0..100 {
            let before = served.load(SeqCst);
            let next = if round % 2 == 0 { &other } else { &one };
            // It stays wherever it is in the word.
            let all = if round % 3 == 0 { [&stays, next] } else { [next, &stays] };
            moves(&pen, &all);
            assert_eq!(letters(&[next]), "A");
            wait_until("clients are served", || served.load(SeqCst) > before + 3);
        }
        stop.store(true, SeqCst);
    });
}

#[test]
fn a_set_is_opened_as_a_whole_or_not_at_all() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b] = ports(&host);
    let pen = Starter::on(&host).listen_word(a.to_string()).letters(1).control().start();
    let before = pen.ask("listen");
    for (word, why) in [
        (format!("{b},192.0.2.1:80"), "cannot listen on 192.0.2.1:80"),
        (format!("{a},{a}"), "is there twice"),
        (format!("{a},80"), "a port needs one"),
        (format!("{}:2000-4000", host.ip), "more than 1024 ports"),
        (format!("{a},{}", host.file("way").display()), "a Unix socket"),
        (format!("{b},{}", pen.servers[0].at()), "pen itself listens"),
    ] {
        let reply = pen.ask(&format!("listen {word}"));
        assert!(reply.starts_with(&word) || reply.contains(why), "{reply}");
        assert!(reply.contains(why) && reply.lines().count() == 1, "{reply}");
        assert_eq!(pen.ask("listen"), before);
        assert!(b.connect().is_err(), "{word} was opened in part");
    }
    assert_eq!(letters(&[&a]), "A");
}

#[test]
fn the_start_says_what_is_wrong_with_a_list() {
    better!(MANY_PORTS);
    let host = Host::new();
    let (a, server) = (host.at(), host.at().to_string());
    refused(&[&*format!("{a},192.0.2.1:80"), &server], &["cannot listen on 192.0.2.1:80"]);
    let ours = format!("{a},{server}");
    refused(&[&*ours, &server], &["pen itself listens"]);
    for (word, why) in [
        ("8010-8000", "expected a range such as 8000-8010"),
        ("80,,81", "expected a port number"),
        ("1-2000", "more than 1024 ports"),
        (&*ours, "pen itself listens"),
    ] {
        let (status, _, stderr) = run(["--check", word, &server]);
        assert_eq!(status, 1, "{word}");
        assert!(stderr.contains(why), "{word}: {stderr}");
    }
}

#[test]
fn hundreds_of_ports_are_served() {
    better!(MANY_PORTS);
    const FIRST: u16 = 21_000;
    let host = Host::new();
    let at = |port: u16| At::Inet((host.ip, port).into());
    let starter = Starter::at(at(FIRST)).listen_word(format!("{}:21000-21299", host.ip));
    let pen = starter.letters(1).control().start();
    // Each of them is tried, and many have clients at once.
    let clients: Vec<Client> = (FIRST..FIRST + 300).map(|port| Client::new(&at(port))).collect();
    assert!(clients.iter().all(|client| client.letter() == "A"));
    drop(clients);
    assert_eq!(pen.ask(&format!("listen {}", pen.at)), format!("{}\n", pen.at));
    wait_until("the others are closed", || {
        (FIRST + 1..FIRST + 300).all(|p| at(p).connect().is_err())
    });
    assert_eq!(pen.letter(), "A");
}

/// A port at which clients queue does not keep those of another one waiting.
#[test]
fn each_port_has_its_turn() {
    better!(MANY_PORTS);
    const QUEUE: usize = 200;
    let host = Host::new();
    let [busy, quiet] = ports(&host);
    let starter = Starter::on(&host).listen_word(word(&[&busy, &quiet]));
    let starter = starter.args(["-x", "1", "-O", "tcp_fastclose up"]).serve(|stream| {
        let mut stream: &TcpStream = &stream;
        if matches!(stream.read(&mut [0]), Ok(1)) {
            let _ = stream.write_all(b"A");
        }
    });
    let pen = starter.expect("clients wait: all ").start();
    let first = Client::new(&busy);
    wait_until("it has the slot", || pen.servers[0].count() == 1);
    let queue: Vec<Client> = (0..QUEUE).map(|_| Client::new(&busy)).collect();
    queue.iter().for_each(|client| client.send("?"));
    pen.says("clients wait: all ");
    let other = Client::new(&quiet);
    other.send("?");
    first.send("?");
    assert_eq!(other.letter(), "A");
    let served = pen.servers[0].count();
    assert!(served < QUEUE / 2, "{served} came first");
    assert!(queue.iter().all(|client| client.letter() == "A"));
}

#[test]
fn datagrams_are_answered_from_the_port_that_they_came_to() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b, c] = ports(&host);
    let starter = Starter::on(&host).udp().listen_word(word(&[&a, &b])).letters(3);
    let pen = starter.control().start();
    // One socket of a client, which takes what comes from the port that it asked.
    let socket = host.socket();
    let ask = |at: &At| {
        socket.send_to(b"?", at.inet()).unwrap();
        let mut letter = [0];
        let (_, from) = socket.recv_from(&mut letter).unwrap();
        assert_eq!(from, at.inet());
        char::from(letter[0])
    };
    assert_eq!([&a, &b, &a].map(ask), ['B'; 3]);
    let flows = || pen.load(1);
    assert_eq!(flows(), 2);
    // The flows of the port that stays go on.
    moves(&pen, &[&a, &c]);
    assert_eq!([&a, &c].map(ask), ['B'; 2]);
    wait_until("the flow of the port that is left has ended", || flows() == 2);
    assert_eq!(pen.servers[1].peers().len(), 3, "a flow was begun again");
}

#[test]
fn a_datagram_reaches_the_port_that_it_came_to() {
    better!(MANY_PORTS);
    let (host, server) = (Host::new(), Host::new());
    let [one, two] = ports(&host);
    let at = |own: &At| At::Inet((server.ip, own.inet().port()).into());
    let _answering = [(&one, 'A'), (&two, 'B')].map(|(own, c)| Responder::letter(at(own), c));
    let starter = Starter::on(&host).udp().listen_word(word(&[&one, &two]));
    let _pen = starter.operand(server.ip).start();
    let socket = host.socket();
    let letters = [&one, &two, &one].map(|at| {
        socket.send_to(b"?", at.inet()).unwrap();
        let mut letter = [0];
        assert_eq!(socket.recv_from(&mut letter).unwrap().1, at.inet());
        letter[0]
    });
    assert_eq!(&letters, b"ABA");
}

/// Servers at these ports of an address, with the letters A, B and so on.
fn backends(ip: [u8; 4], ports: &[u16], first: u8) -> Vec<Backend> {
    let all = ports.iter().zip(first..);
    all.map(|(port, letter)| Backend::letter(At::Inet((ip, *port).into()), letter.into())).collect()
}

/// Two ports of a host, and two servers' addresses on which they are free, too.
fn two_servers() -> (Host, [At; 2], [Host; 2], Vec<Backend>) {
    let (host, servers) = (Host::new(), [Host::new(), Host::new()]);
    let own: [At; 2] = ports(&host);
    let numbers = own.each_ref().map(|at| at.inet().port());
    let both = servers.iter().zip([b'A', b'a']);
    let backends = both.flat_map(|(server, first)| backends(server.ip.octets(), &numbers, first));
    let backends = backends.collect();
    (host, own, servers, backends)
}

#[test]
fn a_server_without_a_port_has_the_clients() {
    better!(MANY_PORTS);
    let (host, [one, two], servers, _backends) = two_servers();
    let starter = Starter::on(&host).listen_word(word(&[&one, &two])).config("");
    let starter = servers.iter().fold(starter, |starter, server| starter.operand(server.ip));
    let pen = starter.web().start();
    // The first client is on the second server, at both ports.
    assert_eq!(letters(&[&two, &one, &two]), "bab");
    let list = pen.ask("servers");
    assert_eq!(list.matches(" port same ").count(), 2, "{list}");
    let json = pen.get("/status.json").body;
    let port = one.inet().port();
    assert!(json.contains(&format!("\"port\":{port},\"same_port\":true")), "{json}");
    // What is saved is read again.
    pen.ask("write");
    let saved = pen.text("pen.cfg");
    assert_eq!(saved.matches(" port same ").count(), 2, "{saved}");
    assert_eq!(pen.ask(&format!("include {}", pen.file("pen.cfg").display())), "");
    assert_eq!(letters(&[&two, &one]), "ba");
    // A port of its own, and back.
    pen.ask(&format!("server 1 port {port}"));
    assert_eq!(letters(&[&two, &one]), "aa");
    pen.ask("server 1 port same");
    assert_eq!(letters(&[&two, &one]), "ba");
}

#[test]
fn one_port_is_the_servers_for_good() {
    better!(MANY_PORTS);
    let (host, [one, two], servers, _backends) = two_servers();
    let starter = Starter::on(&host).listen_word(one.to_string()).operand(servers[0].ip);
    let pen = starter.control().start();
    assert_eq!(letters(&[&one]), "A");
    moves(&pen, &[&one, &two]);
    assert_eq!(letters(&[&one, &two]), "AA");
    pen.ask("server 0 port same");
    assert_eq!(letters(&[&one, &two]), "AB");
    // A new server has what one has that is given at the start.
    pen.ask(&format!("server 1 address {}", servers[1].ip));
    pen.ask("server 0 address 0");
    assert_eq!(letters(&[&one, &two]), "ab");
    // At one port the clients come in at that.
    moves(&pen, &[&two]);
    assert_eq!(letters(&[&two]), "b");
    let place = format!("gets server 1 ({}, port {})", servers[1].ip, two.inet().port());
    let why = pen.ask("explain 127.0.0.1");
    assert!(why.contains(&place), "{why}");
    let list = pen.ask("servers");
    assert_eq!(list.matches(" port same ").count(), 2, "{list}");
    let reply = pen.ask(&format!("server 1 address {}", host.ip));
    assert!(reply.contains("pen itself listens"), "{reply}");
}

#[test]
fn checks_use_the_first_port() {
    better!(MANY_PORTS);
    let (host, [one, two], servers, mut backends) = two_servers();
    let starter = Starter::on(&host).listen_word(word(&[&one, &two])).operand(servers[0].ip);
    let starter = starter.args(["-O", "check 1", "-O", "check_fall 1", "-O", "idlers 1"]);
    let pen = starter.control().expect(" is down").start();
    wait_until("it is up", || pen.ask("servers").contains(" state up"));
    wait_until("the idler is there", || pen.ask("idlers") == "Idlers: 1/1\n");
    assert_eq!(backends[1].count(), 0);
    drop(backends.remove(0));
    wait_until("it is down", || pen.ask("servers").contains(" state down"));
    pen.says(&format!("port {}) is down", one.inet().port()));
}

/// The other port of a server that refuses at one is not asked: it is the server that
/// is down.
#[test]
fn a_server_is_down_as_a_whole() {
    better!(MANY_PORTS);
    let (host, [one, two], servers, mut backends) = two_servers();
    let starter = Starter::on(&host).listen_word(word(&[&one, &two]));
    let starter = servers.iter().fold(starter, |starter, server| starter.operand(server.ip));
    let _pen = starter.expect(" is down, next try in 30 s: ").start();
    drop(backends.remove(3));
    assert_eq!(letters(&[&one, &two, &one]), "aBA");
}

#[test]
fn a_unix_socket_has_no_port_to_give() {
    better!(MANY_PORTS);
    let (_host, [_one, _two], servers, _backends) = two_servers();
    let pen = Starter::unix().letters(1).control().start();
    let reply = pen.ask("server 0 port same");
    assert_eq!(reply, "port same: pen listens at no port\n");
    assert_eq!(pen.letter(), "A");
    drop(servers);
}

#[test]
fn each_port_of_a_server_is_tried() {
    better!(MANY_PORTS);
    let (_host, [one, two], servers, mut backends) = two_servers();
    let ip = servers[0].ip;
    drop(backends.remove(1));
    let (status, out, _) = run(["--try", &word(&[&one, &two]), &ip.to_string()]);
    assert_eq!(status, 0, "{out}");
    let line = |at: &At| {
        let place = format!("{ip}:{} ", at.inet().port());
        out.lines().find(|line| line.contains(&place)).unwrap_or_default().to_owned()
    };
    assert!(line(&one).ends_with(" ms"), "{out}");
    assert!(line(&two).contains("refused"), "{out}");
}

/// nginx at two ports of an address, the second with TLS.
fn nginx(host: &Host, name: &str, plain: u16, tls: u16) -> Option<RealServer> {
    RealServer::start(host, &["nginx"], |dir, at| {
        let (ip, conf, dir) = (at.inet().ip(), dir.join("conf"), dir.to_str().unwrap());
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x";
        let files = ["-keyout", &format!("{dir}/key"), "-out", &format!("{dir}/cert")];
        let made = Command::new("openssl").args(words.split(' ')).args(files).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {dir}/{what};\n"));
        let text = format!(
            "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/log;\n\
             events {{}}\nhttp {{\naccess_log off;\n{}server {{\nlisten {at};\n\
             listen {ip}:{plain};\nlisten {ip}:{tls} ssl;\n\
             ssl_certificate {dir}/cert;\nssl_certificate_key {dir}/key;\n\
             location / {{\nreturn 200 \"{name} $server_port $scheme\";\n}}\n}}\n}}\n",
            temporary.concat()
        );
        fs::write(&conf, text).unwrap();
        ["-p", dir, "-c", conf.to_str().unwrap()].map(str::to_owned).into()
    })
}

#[test]
fn who_comes_by_http_and_then_by_https_is_on_one_server() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [one, two] = ports(&host);
    let [plain, tls] = [&one, &two].map(|at| at.inet().port());
    // They have the ports of pen, as with 80 and 443.
    let all = [Host::new(), Host::new()];
    let servers = ["zero", "one"].iter().zip(&all).map(|(name, host)| {
        let _same_ports = ports::<2>(host);
        nginx(host, name, plain, tls)
    });
    let Some(_servers) = servers.collect::<Option<Vec<_>>>() else { return };
    let starter = Starter::on(&host).listen_word(word(&[&one, &two]));
    let _pen = all.iter().fold(starter, |starter, server| starter.operand(server.ip)).start();
    let ask = |from: &str, url: String| {
        let words = ["-sk", "--max-time", "20", "--interface", from, &url];
        let output = Command::new("curl").args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for (from, name) in [("127.0.0.1", "one"), ("127.0.0.2", "zero"), ("127.0.0.3", "one")] {
        assert_eq!(ask(from, format!("http://{one}/")), format!("{name} {plain} http"));
        assert_eq!(ask(from, format!("https://{two}/")), format!("{name} {tls} https"));
    }
}
