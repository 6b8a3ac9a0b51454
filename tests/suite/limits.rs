//! Running out of descriptors, threads and memory, and giving threads back.

use crate::differences::PENDING;
use crate::stand::{
    Asker, Client, Host, Pen, Starter, better, full_queue, root, skipped, wait_for, wait_until,
    worse,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How many connections pen says its descriptors suffice for.
fn sufficient(pen: &Pen) -> usize {
    let messages = pen.messages();
    let told = messages.iter().find_map(|line| line.split_once("suffice for "));
    let (_, rest) = told.expect("a message about descriptors");
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn with_few_descriptors_clients_wait() {
    better!(DESCRIPTORS);
    let pen = Starter::new()
        .under("ulimit -n 60")
        .letters(1)
        .control()
        .expect("60 open files suffice for")
        .expect("clients wait: all ")
        .start();
    pen.says("not 500 (-x)");
    let room = sufficient(&pen);
    assert!((5..30).contains(&room), "{room}");
    let mut clients: Vec<Client> = (0..room + 10).map(|_| pen.connect()).collect();
    let waiting = clients.split_off(room);
    for client in &clients {
        assert_eq!(client.letter(), "A");
    }
    assert!(waiting[0].is_quiet());
    assert_eq!(pen.load(0) as usize, room);
    // One leaves, one comes in, and nobody is lost.
    for client in waiting {
        clients.remove(0);
        assert_eq!(client.letter(), "A");
        clients.push(client);
    }
    assert_eq!(pen.servers[0].count(), room + 10);
}

/// A control group that may have so much memory, as a container may. Removed
/// when it goes, which is after pen has ended.
struct Group(PathBuf);

impl Group {
    /// `None` where that cannot be had.
    fn new(bytes: &str) -> Option<Group> {
        // Version 1, or 2.
        for (top, file) in [("memory", "memory.limit_in_bytes"), ("", "memory.max")] {
            let top = Path::new("/sys/fs/cgroup").join(top);
            let group = Group(top.join(format!("pen-suite-{}", std::process::id())));
            if fs::create_dir(&group.0).is_ok() && fs::write(group.0.join(file), bytes).is_ok() {
                return Some(group);
            }
        }
        skipped("no control group with a memory limit can be made");
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_control_group_with_too_little_memory_is_told() {
    better!(CONTROL_GROUP);
    let Some(group) = Group::new("67108864") else { return };
    let inside = format!("echo 0 >{}/cgroup.procs", group.0.display());
    let starter = || Starter::new().under(&inside).letters(1);
    let told = "64 MiB of memory (control group) suffice for 936 idle connections, not 937 (-x)";
    let pen = starter().args(["-x", "937"]).expect(told).start();
    pen.says(told);
    assert_eq!(pen.letter(), "A");
    drop(pen);
    drop(starter().args(["-x", "936"]).start());
}

/// Control connections and idlers have descriptors of their own: no client is
/// accepted that then cannot have one for its server.
#[test]
fn with_few_descriptors_nobody_takes_those_of_clients() {
    better!(DESCRIPTORS);
    let pen = Starter::new()
        .under("ulimit -n 60")
        .args(["-O", "idlers 5"])
        .letters(1)
        .control()
        .expect("60 open files suffice for")
        .expect("clients wait: all ")
        .start();
    wait_until("the idlers are there", || {
        pen.ask("idlers") == "Idlers: 5/5\n" && pen.servers[0].count() == 5
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                let visitors: Vec<Client> = (0..20).map(|_| Client::new(pen.control())).collect();
                assert!(pen.ask("mode").starts_with("no hash"));
                drop(visitors);
            }
        });
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let held: Vec<Client> = (0..4).map(|_| pen.connect()).collect();
                        for client in held {
                            assert_eq!(client.letter(), "A");
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        stop.store(true, SeqCst);
        assert!(results.iter().all(Result::is_ok));
    });
    assert_eq!(pen.servers[0].count(), 5 + 8 * 20 * 4);
}

/// Sets a limit of a pen that runs.
fn prlimit(pen: &Pen, limit: &str) -> bool {
    let pid = pen.pid().to_string();
    let mut command = Command::new("prlimit");
    let status = command.args(["--pid", &pid, limit]).status();
    status.is_ok_and(|status| status.success())
}

/// The limit with which it can open one more descriptor: a number, below which
/// one is unused, whatever it was started with above.
fn one_more(pen: &Pen) -> usize {
    let is_unused = |number: &usize| {
        let link = format!("/proc/{}/fd/{number}", pen.pid());
        std::fs::symlink_metadata(link).is_err()
    };
    (0..).find(is_unused).unwrap() + 1
}

/// The limit is lower than it was at the start: a client that was accepted waits
/// for its server's descriptor, and the others wait in the kernel.
#[test]
fn a_client_waits_for_the_descriptor_of_its_server() {
    better!(DESCRIPTORS);
    let pen = Starter::new()
        .under("ulimit -n 100")
        .letters(1)
        .expect("100 open files suffice for")
        .expect("clients wait: all ")
        .expect("waits for server 0")
        .expect("clients wait: cannot accept")
        .start();
    let first = pen.connect_to("A");
    let limit = format!("--nofile={}:100", one_more(&pen));
    if !prlimit(&pen, &limit) {
        return skipped("no prlimit");
    }
    let clients: Vec<Client> = (0..10).map(|_| pen.connect()).collect();
    pen.says("waits for server 0");
    let before = ticks(&pen);
    first.send("\n");
    assert_eq!(first.letter(), "A");
    assert!(clients[9].is_quiet());
    assert!(ticks(&pen) <= before + 10, "it is busy waiting");
    assert!(prlimit(&pen, "--nofile=100:100"));
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || assert_eq!(client.letter(), "A"));
        }
    });
    assert_eq!(pen.servers[0].count(), 11);
}

#[test]
fn a_cap_that_fits_is_not_mentioned() {
    let pen = Starter::new().under("ulimit -n 60").args(["-x", "8"]).letters(1).start();
    assert_eq!(pen.letter(), "A");
}

/// A pen that may have 20 threads, as a user who has no other processes: the
/// limit binds users, not root. Nothing is said but that clients wait.
fn with_few_threads(starter: Starter) -> Starter {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, SeqCst);
    let user = (3_000_000 + 10 * std::process::id() + count).to_string();
    // bash and dash have different letters for it.
    let starter = starter.under("ulimit -u 20 2>/dev/null || ulimit -p 20").control();
    starter.args(["-u", &user]).expect("clients wait: cannot start a thread")
}

#[test]
fn without_threads_to_be_had_clients_wait() {
    better!(WORK);
    root!();
    let pen = with_few_threads(Starter::new().letters(1)).start();
    let clients: Vec<Client> = (0..40).map(|_| pen.connect()).collect();
    pen.says("clients wait: cannot start a thread");
    // Each has two threads or none: it is served for good, or waits.
    for client in &clients[..5] {
        assert_eq!(client.letter(), "A");
        client.send("\n");
    }
    let before = ticks(&pen);
    assert!(clients[20].is_quiet());
    assert!(ticks(&pen) <= before + 10, "it is busy waiting");
    // The control port has a thread.
    let served = pen.load(0);
    assert!((5..10).contains(&served), "{served} of 40 are served");
    // One leaves, one comes in.
    for client in clients {
        assert_eq!(client.letter(), "A");
    }
    assert_eq!(pen.servers[0].count(), 40);
}

/// More flows than there may be threads: whoever comes gets the thread of the
/// flow idle for longest, and no datagram is lost.
#[test]
fn without_threads_to_be_had_flows_make_room() {
    better!(UDP_MANY);
    root!();
    let pen = with_few_threads(Starter::new().udp().letters(1)).start();
    let clients: Vec<Asker> = (0..60).map(|_| pen.asker()).collect();
    // Who waits for an answer is never the one idle for longest.
    for _ in 0..3 {
        for some in clients.chunks(4) {
            some.iter().for_each(|client| client.send("?"));
            for client in some {
                assert_eq!(client.receive(), b"A?");
            }
        }
    }
    assert!(pen.load(0) < 20);
}

fn threads(pen: &Pen) -> u64 {
    pen.status().number("Threads")
}

#[test]
fn idle_threads_leave() {
    better!(WORK);
    let reload = "reloading on HUP";
    let pen = Starter::new().letters(1).expect(reload).start();
    // The last thread of its own to start is the one that does this.
    pen.signal("HUP");
    pen.says(reload);
    let before = threads(&pen);
    let clients: Vec<Client> = (0..50).map(|_| pen.connect()).collect();
    assert!(clients.iter().all(|client| client.letter() == "A"));
    assert!(threads(&pen) >= before + 50);
    drop(clients);
    wait_for(Duration::from_secs(40), "the threads leave", || threads(&pen) <= before);
    assert_eq!(pen.letter(), "A");
}

/// Processor time that pen has had, in ticks of the kernel: a hundredth of a
/// second.
fn ticks(pen: &Pen) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pen.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
}

#[test]
fn pending_connects_cost_nothing() {
    let host = Host::new();
    let hole = host.addr();
    let _full = full_queue(hole);
    let pen = Starter::on(&host).args(["-t", "60"]).operand(hole.to_string()).start();
    let clients: Vec<Client> = (0..150).map(|_| pen.connect()).collect();
    if worse(&PENDING) {
        let before = ticks(&pen);
        wait_until("it is busy", || ticks(&pen) > before + 30);
        return;
    }
    let second = Duration::from_secs(1);
    let mut last = (ticks(&pen), Instant::now());
    wait_until("it is at rest for a second", || {
        let now = ticks(&pen);
        if now > last.0 + 2 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > second
    });
    drop(clients);
}
