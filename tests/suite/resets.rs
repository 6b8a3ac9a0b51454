//! A reset on one side becomes one on the other, so that nobody takes a part for
//! the whole; and clients that have gone while nobody listens to them.

use crate::stand::{At, Backend, Client, Starter, better, wait_for, wait_until};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// pen looks every 5 seconds, and acts on what it has seen twice.
const LONG: Duration = Duration::from_secs(60);

/// What starts servers that say one letter and hand their connections over.
fn greeting() -> (impl Fn(At) -> Backend, Receiver<Arc<TcpStream>>) {
    let (send, receive) = mpsc::channel();
    let start = move |at| {
        let send = send.clone();
        Backend::start(at, move |stream| {
            (&*stream).write_all(b"A").unwrap();
            let _ = send.send(stream);
        })
    };
    (start, receive)
}

/// Closes a connection with a byte unread, which the peer must have sent: that is
/// a reset.
fn reset(client: Client) {
    assert_eq!(client.0.peek(&mut [0]).unwrap(), 1);
}

/// All that comes until the end, and whether that is a good one.
fn take(mut stream: &TcpStream) -> (usize, io::Result<usize>) {
    let (mut count, mut data) = (0, [0; 65536]);
    loop {
        match stream.read(&mut data) {
            Ok(n @ 1..) => count += n,
            end => return (count, end),
        }
    }
}

fn is_reset(end: &io::Result<usize>) -> bool {
    end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn a_clients_reset_is_the_servers() {
    better!(RESET);
    let (server, servers) = greeting();
    let pen = Starter::new().control().with(server).start();
    for half_closed in [false, true] {
        let client = pen.connect();
        client.send([b'x'; 1000]);
        let up = Client(servers.recv().unwrap().try_clone().unwrap());
        assert_eq!(up.receive(1000).len(), 1000);
        if half_closed {
            up.end_sending();
        }
        reset(client);
        let (count, end) = take(&up.0);
        assert!(count == 0 && is_reset(&end), "half closed: {half_closed}: {end:?}");
        wait_until("the connection is over", || pen.load(0) == 0);
    }
}

#[test]
fn a_servers_reset_is_the_clients() {
    better!(RESET);
    let pen = Starter::new().control().with(Backend::resetting).start();
    for half_closed in [false, true] {
        let client = pen.connect();
        client.send("hello");
        if half_closed {
            client.end_sending();
        }
        let (count, end) = take(&client.0);
        assert!(count == 0 && is_reset(&end), "half closed: {half_closed}: {end:?}");
        wait_until("the connection is over", || pen.load(0) == 0);
    }
}

/// Only one of pen's threads gets the error, and it may be the one that writes:
/// the one that reads then sees a good end.
#[test]
fn a_reset_while_the_other_side_sends_is_one() {
    better!(RESET);
    let (send, ends) = mpsc::channel();
    let starter = Starter::new().serve(move |stream| {
        // Goes on while the client leaves, and gets the error in a write or in
        // a read.
        stream.set_nonblocking(true).unwrap();
        let mut writes = (0..50).map(|_| (&*stream).write(&[b'x'; 1000]));
        let failed = writes.find(is_reset);
        stream.set_nonblocking(false).unwrap();
        let _ = send.send(failed.unwrap_or_else(|| take(&stream).1));
    });
    let pen = starter.start();
    for round in 0..300 {
        let client = pen.connect();
        client.receive(1);
        drop(client);
        let end = ends.recv().unwrap();
        assert!(is_reset(&end), "round {round}: {end:?}");
    }
}

#[test]
fn a_reset_passes_between_kinds_of_sockets() {
    better!(RESET);
    let (server, servers) = greeting();
    let from_unix = Starter::unix().with(&server).start();
    reset(from_unix.connect());
    let end = take(&servers.recv().unwrap()).1;
    assert!(is_reset(&end), "{end:?}");
    // Unix sockets know none: it ends.
    let starter = Starter::new();
    let unix = server(starter.host.unix("server"));
    let to_unix = starter.serving(unix).start();
    reset(to_unix.connect());
    assert_eq!(take(&servers.recv().unwrap()).1.unwrap(), 0);
}

/// Its kernel says so when it has something to answer to; nobody reads that.
#[test]
fn a_client_that_has_gone_is_noticed_while_the_server_is_silent() {
    better!(GONE);
    let (server, servers) = greeting();
    for starter in [Starter::new(), Starter::unix()] {
        let pen = starter.control().with(&server).start();
        let client = pen.connect();
        client.send("a question");
        client.end_sending();
        let up = Client(servers.recv().unwrap().try_clone().unwrap());
        assert_eq!(up.rest(), b"a question");
        reset(client);
        wait_for(LONG, "its place is free", || pen.load(0) == 0);
    }
}

#[test]
fn a_client_that_has_gone_is_noticed_while_the_server_takes_nothing() {
    better!(GONE);
    let (server, servers) = greeting();
    let pen = Starter::new().control().with(server).start();
    let client = pen.connect();
    let up = servers.recv().unwrap();
    client.0.set_nonblocking(true).unwrap();
    let mut quiet = 0;
    // Until there is no room anywhere for a while.
    while quiet < 50 {
        match (&client.0).write(&[0; 65536]) {
            Ok(_) => quiet = 0,
            Err(_) => quiet += 1,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    client.0.set_nonblocking(false).unwrap();
    reset(client);
    wait_for(LONG, "its place is free", || pen.load(0) == 0);
    assert!(is_reset(&take(&up).1));
}
