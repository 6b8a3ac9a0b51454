//! Servers that fail, in every way that they can.

use crate::row::{Extent, Found, Row, Scene, Window};
use crate::server::{Manner, Server};
use crate::stand::full_queue;
use crate::traffic::{USUAL, pass};
use crate::world::{Signals, need_program, run};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 11] = [
    Row { name: "killed", fault: "server killed, started again", run: killed },
    Row { name: "stopped", fault: "server stopped (SIGSTOP) and continued", run: stopped },
    Row { name: "refusing", fault: "server refuses connections", run: refusing },
    Row { name: "dropped", fault: "server unreachable: SYNs dropped (nft)", run: dropped },
    Row { name: "queue", fault: "server unreachable: its queue is full", run: queue },
    Row { name: "closing", fault: "server accepts and closes", run: closing },
    Row { name: "resetting", fault: "server resets in mid-stream", run: resetting },
    Row { name: "slow", fault: "server slow", run: slow },
    Row { name: "all", fault: "all servers killed, started again", run: all },
    Row { name: "rolling", fault: "all servers restarted one after the other", run: rolling },
    Row { name: "all-stopped", fault: "all servers stopped and continued", run: all_stopped },
];

/// Servers are taken in turn, and one that failed is tried again soon.
const IN_TURN: [&str; 3] = ["-r", "-b", "1"];

/// Forced: what was on the server when it was killed, whether it had said its
/// number yet or not. Whoever comes when it has gone must get another.
fn killed(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&IN_TURN);
    let mut windows = Vec::new();
    for round in 0..extent.times(12, 2) {
        let victim = round % 3;
        let window = scene.kill(victim);
        windows.push(window);
        scene.recover_from(window.to);
        scene.servers[victim].start();
        scene.traffic.wait_for_server(victim as u8);
    }
    Ok(scene.end(|failure| windows.iter().any(|window| window.may_be_with(failure))))
}

/// Forced: nothing. The kernel of a stopped server goes on accepting, so its
/// clients wait; nothing that they sent may be lost.
fn stopped(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&IN_TURN);
    let mut signals = Signals::new();
    for round in 0..extent.times(10, 2) {
        let pid = scene.servers[round % 3].pid();
        scene.fault();
        signals.send("STOP", pid);
        pass(Duration::from_millis(700));
        signals.send("CONT", pid);
        scene.recover_from(Instant::now());
    }
    Ok(scene.end(|_| false))
}

/// Forced: what was in the server's queue and not accepted yet when it closed
/// it. Its other connections go on.
fn refusing(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&IN_TURN);
    let mut windows = Vec::new();
    for round in 0..extent.times(12, 2) {
        let victim = round % 3;
        let from = scene.fault();
        scene.servers[victim].treat(Manner::Refusing);
        let to = Instant::now();
        let server = None;
        windows.push(Window { from, to, server });
        scene.recover_from(to);
        pass(Duration::from_millis(200));
        scene.servers[victim].treat(Manner::Well);
        scene.traffic.wait_for_server(victim as u8);
    }
    Ok(scene.end(|failure| {
        let is_queued = failure.server.is_none();
        is_queued && windows.iter().any(|window| window.has(failure))
    }))
}

/// Connects take a second at most.
const IMPATIENT: [&str; 5] = ["-r", "-b", "1", "-t", "1"];

/// What belongs to one port in this network: the rule drops what a client
/// sends first, and nothing else.
fn drop_syns(to: SocketAddr) {
    let rule = format!(
        "add table ip chaos
         add chain ip chaos input {{ type filter hook input priority 0; }}
         add rule ip chaos input ip daddr {} tcp dport {} tcp flags & (syn | ack) == syn drop",
        to.ip(),
        to.port()
    );
    run("nft", &[&rule]);
}

/// Forced: nothing. Who is sent there waits for a second and gets another;
/// connections that are there already go on.
fn dropped(extent: &Extent) -> Found {
    extent.world.need_own()?;
    need_program("nft", "nftables")?;
    let mut scene = Scene::usual(&IMPATIENT);
    for round in 0..extent.times(5, 1) {
        let victim = round % 3;
        let to = scene.servers[victim].at.inet();
        scene.fault();
        drop_syns(to);
        scene.recover_from(Instant::now());
        pass(Duration::from_millis(1500));
        run("nft", &["delete table ip chaos"]);
        // Whoever has just come there still waits for the end of that second.
        pass(Duration::from_secs(1));
        scene.traffic.wait_for_server(victim as u8);
    }
    Ok(scene.end(|_| false))
}

/// Forced: nothing. There is a fourth server whose queue is full for a while,
/// and where nobody listens for a while. pen must not be in that queue itself,
/// so it knows the server as down while it fills.
fn queue(extent: &Extent) -> Found {
    let mut full = None;
    let mut scene = Scene::new(USUAL, |starter, host| {
        let full = full.insert(host.addr());
        starter.args(IMPATIENT).operand(full.to_string())
    });
    let full = full.unwrap();
    for _ in 0..extent.times(5, 1) {
        scene.pen.ask("server 3 blacklist 10");
        let queue = full_queue(full);
        scene.pen.ask("server 3 blacklist 0");
        let since = scene.fault();
        scene.recover_from(since);
        // Longer than one blacklist time: it is tried in vain again.
        pass(Duration::from_millis(1500));
        drop(queue);
        scene.recover_from(Instant::now());
    }
    Ok(scene.end(|_| false))
}

/// Lets a server be so for a while, until everybody has been served again. How
/// many connections it has broken, and when.
fn treat(scene: &mut Scene, victim: usize, manner: Manner, time: u64) -> (usize, Window) {
    let from = scene.fault();
    scene.servers[victim].treat(manner);
    pass(Duration::from_millis(time));
    scene.servers[victim].treat(Manner::Well);
    let (to, server) = (Instant::now(), None);
    scene.recover_from(to);
    // By now all that it has accepted has been counted.
    let broken = scene.servers[victim].treat(Manner::Well);
    (broken, Window { from, to, server })
}

/// Forced: as many as the server says it closed; they have not got its number.
fn closing(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&IN_TURN);
    let mut windows = Vec::new();
    let mut closed = [0; 3];
    for round in 0..extent.times(12, 2) {
        let (count, window) = treat(&mut scene, round % 3, Manner::Closing, 500);
        closed[round % 3] = count;
        windows.push(window);
    }
    let mut outcome = scene.end(|failure| {
        let has_no_number = failure.server.is_none();
        has_no_number && windows.iter().any(|window| window.has(failure))
    });
    let closed: usize = closed.iter().sum();
    let more = outcome.forced.saturating_sub(closed);
    outcome.forced -= more;
    outcome.failed += more;
    Ok(outcome)
}

/// Forced: those that the server has told so.
fn resetting(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&IN_TURN);
    for round in 0..extent.times(12, 2) {
        treat(&mut scene, round % 3, Manner::Resetting, 500);
    }
    Ok(scene.end(|failure| failure.doomed))
}

/// Forced: nothing. It takes its time, and everything arrives.
fn slow(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&IN_TURN);
    for round in 0..extent.times(6, 2) {
        treat(&mut scene, round % 3, Manner::Slow, 1000);
    }
    Ok(scene.end(|_| false))
}

/// Forced: what was on a server when it was killed. They are back at once, but
/// not off the blacklist: that of the first is not over when the last goes.
fn rolling(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&["-r"]);
    let mut windows = Vec::new();
    for _ in 0..extent.times(6, 2) {
        for victim in 0..3 {
            let window = scene.kill(victim);
            windows.push(window);
            // Somebody has found out.
            scene.recover_from(window.to);
            scene.servers[victim].start();
        }
        scene.recover_from(Instant::now());
    }
    Ok(scene.end(|failure| windows.iter().any(|window| window.may_be_with(failure))))
}

/// Forced: all that was open, and what comes until the servers are back. Their
/// blacklist time is not over then, but nobody else is there.
fn all(extent: &Extent) -> Found {
    let mut scene = Scene::new(USUAL, |starter, _| {
        let starter = starter.args(IN_TURN).expect(": no server available");
        starter.expect("more messages like these")
    });
    let mut windows = Vec::new();
    for _ in 0..extent.times(6, 1) {
        let from = scene.fault();
        scene.servers.iter_mut().for_each(Server::kill);
        pass(Duration::from_millis(400));
        scene.servers.iter_mut().for_each(Server::start);
        let back = Instant::now();
        let server = None;
        windows.push(Window { from, to: back, server });
        scene.recover_from(back);
    }
    Ok(scene.end(|failure| windows.iter().any(|window| window.has(failure))))
}

/// Forced: nothing. Everybody waits.
fn all_stopped(extent: &Extent) -> Found {
    let mut scene = Scene::usual(&IN_TURN);
    let mut signals = Signals::new();
    for _ in 0..extent.times(4, 1) {
        let pids: Vec<u32> = scene.servers.iter_mut().map(Server::pid).collect();
        scene.fault();
        pids.iter().for_each(|pid| signals.send("STOP", *pid));
        pass(Duration::from_secs(1));
        pids.iter().for_each(|pid| signals.send("CONT", *pid));
        scene.recover_from(Instant::now());
    }
    Ok(scene.end(|_| false))
}
