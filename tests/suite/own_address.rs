//! Servers that are pen itself: whoever came in would come in again, until all
//! slots are taken.

use crate::stand::{
    At, Backend, Client, Dir, Host, Namespace, Port, Starter, better, refused, run, wait_until,
};

const WHY: &str = "pen itself listens";

#[test]
fn it_is_refused_at_the_start() {
    better!(OWN_ADDRESS);
    let (port, dir) = (Port::new(), Dir::new());
    let (port, path) = (port.number.to_string(), dir.file("way").display().to_string());
    let at = format!("127.0.0.1:{port}");
    let elsewhere = format!("127.0.0.2:{port}");
    for words in [
        // All of this host's addresses, and the port that is left out.
        &[&*port, "localhost"][..],
        &[&port, "127.0.0.9"],
        &[&port, &at],
        &[&at, &elsewhere, &at],
        &["-e", &at, &at, &elsewhere],
        &["-B", &at, &at, &elsewhere],
        &["-U", &at, &at],
        &["-O", &format!("server 1 address 127.0.0.1 port {port}"), &at, &elsewhere],
        &[&path, &path],
    ] {
        refused(words, &[WHY]);
        let (status, _, stderr) = run([&["--check"], words].concat());
        assert_eq!(status, 1, "{words:?}");
        assert!(stderr.contains(WHY), "{words:?}: {stderr}");
    }
    let (status, _, stderr) = run(["--check", &at, &elsewhere]);
    assert_eq!((status, stderr.as_str()), (0, ""));
}

#[test]
fn it_is_refused_on_the_control_port() {
    better!(OWN_ADDRESS);
    let host = Host::new();
    let control = host.at();
    let pen = Starter::on(&host).letters(1).control_at(control).start();
    let (ip, port) = (host.ip, pen.at.inet().port());
    let server = pen.servers[0].at().inet().port();
    let before = pen.ask("servers");
    for line in [
        format!("server 0 port {port}"),
        format!("server 0 address {ip} port {port}"),
        // Those that are left out are the listening port and nothing.
        format!("server 2 address {ip}"),
        format!("emergency {ip}:{port}"),
        format!("abuse {ip}"),
        format!("listen 0.0.0.0:{server}"),
    ] {
        let reply = pen.ask(&line);
        assert!(reply.contains(WHY), "{line}: {reply}");
        assert_eq!(reply.lines().count(), 1, "{line}: {reply}");
    }
    assert_eq!(pen.ask("servers"), before);
    assert_eq!(pen.letter(), "A");
}

/// pen listens everywhere, and a server's address moves to this host.
#[test]
fn it_is_noticed_when_it_comes_about() {
    let Some(namespace) = Namespace::new() else { return };
    better!(OWN_ADDRESS);
    let dir = Dir::new();
    let letter = Backend::letter(At::Unix(dir.file("letter")), 'A');
    let at = At::Inet("127.0.0.1:8000".parse().unwrap());
    let pen = Starter::at(at.clone())
        .listen_word("8000".to_owned())
        .inside(&namespace.name)
        .args(["-r"])
        .operand("10.99.9.9:8000")
        .server(&letter.at)
        .expect("server 0 (10.99.9.9, port 8000) is down, next try in 30 s: this is where")
        .start();
    namespace.ip("addr add 10.99.9.9/32 dev lo");
    let way = At::Unix(dir.file("way"));
    let _caller = Starter::at(way.clone()).ours().inside(&namespace.name).server(&at).start();
    let letters: String = (0..4).map(|_| Client::new(&way).letter()).collect();
    assert_eq!(letters, "AAAA");
    wait_until("it is said", || pen.has_said(WHY));
}
