//! Clients that behave badly, beside others that do not.

use crate::row::{Extent, Found, Row, Scene};
use crate::talk::{Failure, MOST, Talk, converse};
use crate::traffic::pass;
use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 4] = [
    Row { name: "client-resets", fault: "clients reset in mid-stream", run: resets },
    Row { name: "half-closes", fault: "clients half-close, and read later", run: half_closes },
    Row { name: "never-reads", fault: "clients that never read", run: never_reads },
    Row { name: "byte-a-second", fault: "clients that send one byte a second", run: byte_a_second },
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
