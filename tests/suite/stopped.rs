//! pen is stopped and goes on (SIGSTOP and SIGCONT, a container's pause, a
//! debugger that looks): that cuts waits short, and is nobody's failure.

use crate::stand::{
    At, Backend, Client, Dir, Host, Starter, Status, better, full_queue, program, same_pattern,
    wait_until,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Stops a process and lets it go on.
fn stop_and_go(pid: u32) {
    let is_stopped = || Status::of(pid).unwrap().words("State")[0] == "T";
    let send = |name: &str| {
        let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
        assert!(status.unwrap().success());
    };
    send("STOP");
    wait_until("it is stopped", is_stopped);
    send("CONT");
    wait_until("it goes on", || !is_stopped());
}

/// Waits until somebody connects there and gets no answer.
fn wait_for_connect(to: SocketAddr) {
    let SocketAddr::V4(to) = to else { panic!("{to}") };
    let ip = u32::from_ne_bytes(to.ip().octets());
    // The other end, and SYN_SENT.
    let text = format!(" {ip:08X}:{:04X} 02 ", to.port());
    wait_until("somebody connects", || {
        fs::read_to_string("/proc/net/tcp").unwrap().contains(&text)
    });
}

/// More than once, as a wait of a moment ago may just have begun anew.
const TIMES: usize = 3;

#[test]
fn a_connect_goes_on() {
    let host = Host::new();
    let slow = host.addr();
    let (listener, waiting) = full_queue(slow);
    let pen = Starter::on(&host).args(["-t", "15"]).server(&At::Inet(slow)).start();
    let client = pen.connect();
    wait_for_connect(slow);
    (0..TIMES).for_each(|_| stop_and_go(pen.pid()));
    // Now there is room for it.
    drop(waiting);
    let server = thread::spawn(move || {
        loop {
            let mut stream = listener.accept().unwrap().0;
            // Those that only filled the queue have nothing to say.
            if stream.read(&mut [0; 100]).is_ok_and(|count| count > 0) {
                return stream.write_all(b"welcome").unwrap();
            }
        }
    });
    client.send("hello");
    assert_eq!(client.receive(7), b"welcome");
    server.join().unwrap();
}

#[test]
fn a_connect_to_a_unix_socket_begins_anew() {
    better!(UNIX_QUEUE);
    let (host, dir) = (Host::new(), Dir::new());
    let letter = Backend::letter(host.at(), 'A');
    let path = At::Unix(dir.file("slow"));
    // Its queue, the shortest that pen has, takes 51 while it does not accept.
    let slow = Starter::at(path.clone()).ours().args(["-q", "50"]).server(&letter.at).start();
    slow.signal("STOP");
    let pen = Starter::on(&host).args(["-t", "15"]).server(&path).control().start();
    let clients: Vec<Client> = (0..60).map(|_| pen.connect()).collect();
    // Any of them may be among the last.
    let waits = |n: &usize| pen.ask(&format!("connection {n}")).contains("state = 1\n");
    wait_until("connects wait", || (0..60).filter(waits).count() == 9);
    (0..TIMES).for_each(|_| stop_and_go(pen.pid()));
    slow.signal("CONT");
    let letters: String = clients.iter().map(Client::letter).collect();
    assert_eq!(letters, "A".repeat(60));
}

/// Both ways, one that is quiet and one that is full.
#[test]
fn connections_live_on() {
    const SIZE: usize = 8 << 20;
    let host = Host::new();
    let (sent, echo) = (Arc::new(AtomicUsize::new(0)), Backend::echo(host.at()));
    let source = Backend::source(host.at(), Arc::clone(&sent));
    let start = |server: &At| Starter::on(&host).args(["-t", "15"]).server(server).start();
    let (quiet, full) = (start(&echo.at), start(&source.at));
    let (client, taker) = (quiet.connect(), full.connect());
    client.echoes("one");
    wait_until("all buffers are full", || {
        let before = sent.load(SeqCst);
        thread::sleep(Duration::from_millis(200));
        before > 0 && before == sent.load(SeqCst)
    });
    for pen in [&quiet, &full] {
        (0..TIMES).for_each(|_| stop_and_go(pen.pid()));
    }
    client.echoes("two");
    let mut taken = 0;
    while taken < SIZE {
        let piece = taker.receive(1 << 16);
        assert!(same_pattern(0, taken as u64, &piece));
        taken += piece.len();
    }
}

/// The programs beside it, while they wait for somebody.
#[test]
fn penctl_goes_on_waiting() {
    let host = Host::new();
    let listener = TcpListener::bind(host.addr()).unwrap();
    let mut child = Command::new(program("penctl"))
        .args([&listener.local_addr().unwrap().to_string(), "mode"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = listener.accept().unwrap().0;
    assert_eq!(stream.read(&mut [0; 100]).unwrap(), 5);
    (0..TIMES).for_each(|_| stop_and_go(child.id()));
    stream.write_all(b"reply\n").unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    let mut reply = String::new();
    child.stdout.take().unwrap().read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "reply\n");
    assert!(child.wait().unwrap().success());
}
