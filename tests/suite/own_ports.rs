//! The ports that pen's own connections have: how many there are, and what
//! happens when one is the server's. In a network that has few of them; clients
//! reach pen there by Unix sockets.

use crate::stand::{
    Asker, At, Backend, Client, Dir, Namespace, Pen, Responder, Starter, better, wait_until,
};
use std::thread;
use std::time::Duration;

/// `source` binds the socket; it may share its port with connections to others.
#[test]
fn with_source_each_server_has_all_ports() {
    let Some(namespace) = Namespace::new() else { return };
    better!(OWN_PORTS);
    const PORTS: usize = 12;
    namespace.set("ip_local_port_range", "8001 8012");
    let dir = Dir::new();
    let way = At::Unix(dir.file("way"));
    for (source, servers) in
        [("127.0.0.1", ["127.0.0.1:9001", "127.0.0.1:9002"]), ("::1", ["[::1]:9001", "[::1]:9002"])]
    {
        let letter = Backend::letter(At::Unix(dir.file("letter")), 'A');
        let inner = servers.map(|server| {
            let at = At::Inet(server.parse().unwrap());
            let word = server.replace(['[', ']'], "");
            Starter::at(at)
                .listen_word(word)
                .ours()
                .inside(&namespace.name)
                .server(&letter.at)
                .start()
        });
        let pen = Starter::at(way.clone())
            .inside(&namespace.name)
            .args(["-r", "-O", &format!("source {source}")])
            .server(&inner[0].at)
            .server(&inner[1].at)
            .expect("cannot connect to")
            .expect("more messages like these")
            .expect(": no server available")
            .start();
        let all_have_a_port = || {
            let clients: Vec<Client> = (0..2 * PORTS).map(|_| pen.connect()).collect();
            clients.iter().all(|client| client.letter() == "A")
        };
        assert!(all_have_a_port(), "{source}");
        wait_until(format_args!("all have a port again, {source}"), || {
            // Linux lets a port be used again after a second.
            thread::sleep(Duration::from_millis(1200));
            all_have_a_port()
        });
    }
}

/// That is this host's trouble.
#[test]
fn without_a_port_no_server_is_blamed() {
    let Some(namespace) = Namespace::new() else { return };
    better!(OWN_PORTS);
    namespace.set("ip_local_port_range", "8001 8004");
    let dir = Dir::new();
    let silent = Responder::silent(At::Unix(dir.file("silent")));
    let server = At::Inet("127.0.0.1:9000".parse().unwrap());
    let inner = Starter::at(server.clone()).ours().inside(&namespace.name).args(["-U"]);
    let _inner = inner.server(&silent.at).start();
    let way = dir.file("way");
    for source in ["tcp_nodelay", "source 127.0.0.1"] {
        let pen = Starter::at(At::Unix(way.clone()))
            .inside(&namespace.name)
            .args(["-U", "-O", source])
            .server(&server)
            .expect("cannot connect to server 0")
            .expect(": no server available")
            .start();
        let asker = |n: usize| Asker::unix(&dir.file(&format!("{source}{n}")), &way);
        let askers: Vec<Asker> = (0..6).map(asker).collect();
        askers.iter().for_each(|asker| asker.send("?"));
        pen.says("cannot connect to server 0");
    }
}

/// The kernel may give the connection to a server on this host that is not
/// there that server's own port: it is connected to itself then, and everything
/// comes back.
#[test]
fn a_server_that_is_not_there_does_not_echo() {
    let Some(namespace) = Namespace::new() else { return };
    better!(SELF_CONNECT);
    namespace.set("ip_local_port_range", "8001 8001");
    let dir = Dir::new();
    let pen = |server: &str| -> Pen {
        Starter::at(At::Unix(dir.file("way")))
            .inside(&namespace.name)
            .operand(server.to_owned())
            .expect("is down, next try in 30 s: connection refused")
            .expect(": no server available")
            .start()
    };
    for server in ["127.0.0.1:8001", "[::1]:8001"] {
        let pen = pen(server);
        assert_eq!(pen.letter(), "", "{server}");
        pen.says("is down, next try in");
    }
}
