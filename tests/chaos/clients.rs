//! Clients that behave badly, beside others that do not.

use crate::row::{Extent, Found, Row, Scene};
use crate::server::{ECHO, Server};
use crate::stand::{Host, Pen, Starter};
use crate::talk::{Failure, MOST, Talk, connect, converse};
use crate::traffic::{USUAL, pass};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 5] = [
    Row { name: "client-resets", fault: "clients reset in mid-stream", run: resets },
    Row { name: "half-closes", fault: "clients half-close, and read later", run: half_closes },
    Row { name: "never-reads", fault: "clients that never read", run: never_reads },
    Row { name: "byte-a-second", fault: "clients that send one byte a second", run: byte_a_second },
    Row {
        name: "proxy-header",
        fault: "PROXY header in pieces / never complete",
        run: proxy_header,
    },
];

/// The address of all bad clients.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 41, 0, 1);

/// So many clients at a time, each so often, do this beside the traffic.
fn beside(
    scene: &mut Scene,
    clients: usize,
    times: usize,
    work: impl Fn(&mut Talk) -> io::Result<()> + Sync,
) {
    let begin = scene.faults(clients * times);
    let to = scene.pen.at.inet();
    let life = |client: usize| -> Vec<Result<(), Failure>> {
        let number = |time: usize| (client * times + time) as u16;
        let talks = (0..times).map(|time| converse(FROM, to, number(time), &work));
        talks.collect()
    };
    let results: Vec<Result<(), Failure>> = thread::scope(|scope| {
        let life = &life;
        let threads: Vec<_> =
            { 0..clients }.map(|client| scope.spawn(move || life(client))).collect();
        scene.recover_from(begin);
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.flatten().collect()
    });
    scene.recover_from(Instant::now());
    scene.other_talks(results);
}

/// Forced: nothing; who resets expects nothing.
fn resets(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&["-r"]);
    beside(&mut scene, 4, extent.times(100, 15), |talk| {
        talk.ask_echo()?;
        talk.exchange(1000)?;
        talk.send(MOST)?;
        // A socket that is closed with unread data sends RST instead of FIN.
        talk.wait_for_data()
    });
    Ok(scene.end(|_| false))
}

/// Forced: nothing; all that was sent must come back.
fn half_closes(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&["-r"]);
    beside(&mut scene, 8, extent.times(25, 4), |talk| {
        talk.ask_echo()?;
        talk.send(MOST)?;
        talk.end_sending()?;
        pass(Duration::from_millis(150));
        talk.finish()
    });
    Ok(scene.end(|_| false))
}

/// Bytes that a client who does not read asks for: more than the buffers of
/// all sockets on the way hold.
const MUCH: u32 = 256 << 20;

/// KiB that pen may need for one of them.
const ROOM: u64 = 1024;

/// Forced: nothing, as those who do not read expect nothing; pen must not
/// gather what they leave.
fn never_reads(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&["-r"]);
    let clients = extent.times(40, 20);
    let memory = |scene: &Scene| scene.pen.status().number("VmHWM");
    let (before, time) = (memory(&scene), extent.seconds(6, 2));
    beside(&mut scene, clients, 1, |talk| {
        talk.ask_for(MUCH)?;
        pass(time);
        Ok(())
    });
    let more = memory(&scene).saturating_sub(before);
    let mut outcome = scene.end(|_| false);
    outcome.demand(more < clients as u64 * ROOM, || {
        format!("pen has grown by {more} KiB for {clients} clients")
    });
    Ok(outcome)
}

/// Forced: nothing; each byte must come back.
fn byte_a_second(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&["-r"]);
    let bytes = extent.times(10, 3);
    beside(&mut scene, 20, 1, |talk| {
        talk.ask_echo()?;
        for _ in 0..bytes {
            talk.exchange(1)?;
            pass(Duration::from_secs(1));
        }
        talk.end_sending()?;
        talk.finish()
    });
    Ok(scene.end(|_| false))
}

/// Clients at a time whose header is never complete, and as many whose header comes in
/// pieces. Those who wait take most of the places of a pen.
const HEADERS: usize = 60;

/// Forced: nothing. The traffic comes through a pen that sends headers to three that accept
/// them, and bad clients come to those three. A header in pieces is as good as any; one
/// that is never complete ends the connection, and its place is free again.
fn proxy_header(extent: &Extent) -> Found {
    let host = Host::new();
    let servers = Server::three(&host);
    let accepting = |server: &Server| {
        let starter = Starter::on(&host).args(["-O", "accept_proxy", "-x", "100"]);
        starter.operand(&server.at).expect("drop: ").start()
    };
    let back: Vec<Pen> = servers.iter().map(accepting).collect();
    let front = Starter::on(&host).control().args(["-r", "-O", "send_proxy v2"]);
    let front = back.iter().fold(front, |front, pen| front.operand(&pen.at));
    let mut scene = Scene::of(servers, USUAL, front);
    let mut wrong = Vec::new();
    for _ in 0..extent.times(5, 1) {
        let begin = scene.faults(2 * HEADERS);
        let to = |number: usize| back[number % back.len()].at.inet();
        wrong.extend(thread::scope(|scope| {
            let all = (0..2 * HEADERS).map(|number| {
                let work = if number < HEADERS { never_complete } else { in_pieces };
                scope.spawn(move || work(to(number)).err().map(|e| e.to_string()))
            });
            let all: Vec<_> = all.collect();
            scene.recover_from(begin);
            all.into_iter().filter_map(|one| one.join().unwrap()).collect::<Vec<_>>()
        }));
        scene.recover_from(Instant::now());
    }
    let mut outcome = scene.end(|_| false);
    outcome.faults.extend(wrong);
    Ok(outcome)
}

const HEADER: &[u8] = b"PROXY TCP4 198.51.100.7 192.0.2.80 56324 443\r\n";

/// Must be closed; the time limit of reading is longer than that of a header.
fn never_complete(to: SocketAddr) -> io::Result<()> {
    let mut stream = connect(FROM, to)?;
    stream.write_all(&HEADER[..20])?;
    match stream.read(&mut [0]) {
        Ok(0) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Ok(_) => Err(io::Error::other("an answer without a header")),
        Err(e) => Err(e),
    }
}

/// Must be served.
fn in_pieces(to: SocketAddr) -> io::Result<()> {
    let mut stream = connect(FROM, to)?;
    for byte in HEADER {
        stream.write_all(&[*byte])?;
        pass(Duration::from_millis(20));
    }
    let mut answer = [0; 6];
    stream.read_exact(&mut answer[..1])?;
    stream.write_all(&[ECHO])?;
    stream.write_all(b"hello")?;
    stream.read_exact(&mut answer[1..])?;
    match &answer[1..] == b"hello" {
        true => Ok(()),
        false => Err(io::Error::other("other bytes than were sent")),
    }
}
