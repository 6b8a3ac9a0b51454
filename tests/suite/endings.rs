//! How connections end: resets, a side that leaves early, by order, and with
//! `tcp_fastclose`.

use crate::stand::{Backend, Client, PATIENCE, Pen, Starter, better, wait_until};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

#[test]
fn a_reset_by_the_server_ends_the_client() {
    let pen = Starter::new().control().with(Backend::resetting).start();
    let client = pen.connect();
    client.send("hello");
    assert!(client.ends());
    wait_until("the connection is over", || pen.load(0) == 0);
}

#[test]
fn a_reset_by_the_client_ends_the_server() {
    let (report, reported) = mpsc::channel();
    let starter = Starter::new().serve(move |stream| {
        let mut stream: &TcpStream = &stream;
        // More than the client reads, so that its close is a reset.
        let _ = stream.write_all(&[0; 100_000]);
        let mut data = [0; 16];
        while matches!(stream.read(&mut data), Ok(1..)) {}
        let _ = report.send(());
    });
    let pen = starter.start();
    let client = pen.connect();
    client.send("hello");
    assert_eq!(client.receive(1), [0]);
    drop(client);
    reported.recv_timeout(PATIENCE).unwrap();
}

/// A pen with a server that answers before it has heard everything, and then ends its
/// side in the way of `end`.
fn hasty(answer: usize, end: fn(&TcpStream)) -> Pen {
    let starter = Starter::new().serve(move |stream| {
        let mut stream: &TcpStream = &stream;
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream.write_all(&vec![b'x'; answer]).unwrap();
        end(stream);
    });
    starter.start()
}

/// Sends until nobody takes it, and reads the answer then.
fn send_and_read(client: &Client) -> usize {
    for _ in 0..100 {
        if (&client.0).write_all(&[0; 10_000]).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    // How it ends is not the point: what was said before is.
    let _ = (&client.0).read_to_end(&mut answer);
    answer.len()
}

#[test]
fn an_early_answer_arrives_whole_though_the_client_still_sends() {
    better!(HALF_CLOSED);
    let pen = hasty(3_000_000, |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        // As decent servers do, it lets the client finish.
        let mut data = [0; 4096];
        while matches!(stream.read(&mut data), Ok(1..)) {}
    });
    let client = pen.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = 2_000_000;
            while left > 0 {
                client.send([0; 10_000]);
                left -= 10_000;
            }
            client.end_sending();
        });
        assert_eq!(client.rest().len(), 3_000_000);
    });
}

#[test]
fn an_early_answer_arrives_whole_though_the_server_has_gone() {
    better!(HALF_CLOSED);
    // It closes with unread data, and so resets; its answer has reached pen,
    // and races against the news that nobody takes the question any more.
    let pen = hasty(60_000, |_| {});
    for round in 0..400 {
        assert_eq!(send_and_read(&pen.connect()), 60_000, "round {round}");
    }
}

#[test]
fn a_connection_is_closed_by_order() {
    let pen = Starter::new().control().letters(1).start();
    let client = pen.connect_to("A");
    assert_eq!(pen.ask("close 0"), "Forcibly closing connection 0\n");
    assert!(client.ends());
    wait_until("the connection is over", || pen.load(0) == 0);
}

/// Adds a server whose connections the test gets. They outlive it.
pub(crate) fn handing_over(starter: Starter) -> (Starter, Receiver<Arc<TcpStream>>) {
    let (send, receive) = mpsc::channel();
    (starter.serve(move |stream| drop(send.send(stream))), receive)
}

/// A client's and a server's end of one connection.
pub(crate) fn ends(pen: &Pen, servers: &Receiver<Arc<TcpStream>>) -> (Client, Client) {
    let client = pen.connect();
    let server = servers.recv_timeout(PATIENCE).unwrap();
    (client, Client(server.try_clone().unwrap()))
}

#[test]
fn fastclose_lets_one_side_end_both() {
    for (mode, by_server, by_client) in
        [("off", false, false), ("up", true, false), ("down", false, true), ("both", true, true)]
    {
        let (starter, servers) = handing_over(Starter::new().control());
        let pen = starter.args(["-O", &format!("tcp_fastclose {mode}")]).start();
        let (client, up) = ends(&pen, &servers);
        up.send("bye");
        up.end_sending();
        assert_eq!(client.rest(), b"bye", "{mode}");
        let ended = if by_server { up.ends() } else { !up.is_quiet() };
        assert_eq!(ended, by_server, "{mode}, the server ends");
        let (client, up) = ends(&pen, &servers);
        client.send("bye");
        client.end_sending();
        assert_eq!(up.receive(3), b"bye", "{mode}");
        let ended = if by_client { client.ends() } else { !client.is_quiet() };
        assert_eq!(ended, by_client, "{mode}, the client ends");
    }
}

#[test]
fn fastclose_set_later_counts_for_those_who_are_here() {
    let (starter, servers) = handing_over(Starter::new().control());
    let pen = starter.start();
    let (first, first_up) = ends(&pen, &servers);
    let (second, second_up) = ends(&pen, &servers);
    let (third, third_up) = ends(&pen, &servers);
    // It counts when a side ends, not afterwards.
    first.end_sending();
    assert!(first_up.ends());
    pen.ask("tcp_fastclose both");
    second.end_sending();
    assert!(second.ends() && second_up.ends());
    assert!(first.is_quiet());
    pen.ask("tcp_fastclose off");
    third.end_sending();
    assert!(third_up.ends() && third.is_quiet());
}

#[test]
fn fastclose_flushes_first() {
    const LENGTH: usize = 3_000_000;
    let (starter, servers) = handing_over(Starter::new().control());
    let pen = starter.args(["-O", "tcp_fastclose both"]).start();
    for server_ends in [true, false] {
        let (client, up) = ends(&pen, &servers);
        let (from, to) = if server_ends { (up, client) } else { (client, up) };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                from.send(vec![b'x'; LENGTH]);
                from.end_sending();
            });
            assert_eq!(to.rest().len(), LENGTH, "server ends: {server_ends}");
        });
    }
}

#[test]
fn nothing_is_left_open() {
    let pen = Starter::new()
        .args(["-r", "-b", "0"])
        .absent()
        .echo()
        .with(Backend::resetting)
        .expect("server 0")
        .start();
    let open = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", pen.pid()));
        files.unwrap().count()
    };
    let before = open();
    for round in 0..60 {
        let client = pen.connect();
        match round % 4 {
            0 => {
                client.end_sending();
                assert!(client.ends());
            }
            // The others leave without waiting for an answer.
            1 => client.send([b'x'; 100_000]),
            2 => client.send("x"),
            _ => {}
        }
    }
    wait_until("all is closed again", || open() == before);
}
