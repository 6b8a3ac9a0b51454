//! Too little of something: descriptors, threads, memory. Clients for whom
//! there is no room wait; nobody is turned away, and the control port answers.

use crate::harness::is_root;
use crate::row::{Extent, Found, Row, Scene};
use crate::traffic::{Mix, pass};
use crate::world::{need_program, run};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 4] = [
    Row {
        name: "descriptors",
        fault: "descriptors exhausted (RLIMIT_NOFILE 64), control connections, too",
        run: descriptors,
    },
    Row {
        name: "descriptors-later",
        fault: "descriptors taken away (prlimit) and given back",
        run: descriptors_later,
    },
    Row {
        name: "threads",
        fault: "threads exhausted (RLIMIT_NPROC 40), control connections, too",
        run: threads,
    },
    Row {
        name: "memory",
        fault: "memory tight (RLIMIT_AS), control connections, too",
        run: memory,
    },
];

/// More clients than there is room for; guests leave again soon, so that
/// everybody has a turn.
const CROWD: Mix = Mix {
    callers: 30,
    guests: 30,
    movers: 2,
    stay: Duration::from_millis(300),
};

/// Silent control connections. pen lets each have its say for five seconds.
const SILENT: usize = 30;

/// How long an answer at the control port may take behind them.
const PROMPT: Duration = Duration::from_secs(10);

/// Forced: nothing.
fn crowd(extent: &Extent, under: &str, words: &[&str]) -> Found {
    let mut scene = Scene::new(CROWD, |starter, _| {
        let starter = starter.under(under).args(["-r"]).args(words);
        starter.expect("clients wait")
    });
    let control = scene.control.inet();
    let mut slowest = Duration::ZERO;
    for _ in 0..extent.times(6, 1) {
        let since = scene.fault();
        let silent: Vec<TcpStream> = (0..SILENT)
            .filter_map(|_| TcpStream::connect(control).ok())
            .collect();
        let asked = Instant::now();
        assert_eq!(scene.pen.ask("blacklist"), "30\n");
        slowest = slowest.max(asked.elapsed());
        scene.recover_from(since);
        pass(Duration::from_millis(300));
        silent.iter().for_each(|mut stream| {
            // Some have had to leave.
            let _ = stream.write_all(b"mode\n");
        });
        drop(silent);
        scene.recover_from(Instant::now());
    }
    let mut outcome = scene.end(|_| false);
    outcome.demand(slowest < PROMPT, || {
        format!("an answer at the control port took {slowest:?}")
    });
    Ok(outcome)
}

fn descriptors(extent: &Extent) -> Found {
    crowd(extent, "ulimit -n 64", &[])
}

/// Forced: nothing. Fewer are allowed than are open, so that no more can be
/// had; connections that are there go on.
fn descriptors_later(extent: &Extent) -> Found {
    need_program("prlimit", "util-linux")?;
    let mut scene = Scene::new(CROWD, |starter, _| {
        let starter = starter.args(["-r"]).expect("clients wait");
        starter.expect(" waits for server ")
    });
    let pid = scene.pen.pid().to_string();
    for _ in 0..extent.times(6, 1) {
        let since = scene.fault();
        run("prlimit", &["--pid", &pid, "--nofile=40:"]);
        pass(Duration::from_millis(500));
        run("prlimit", &["--pid", &pid, "--nofile=1000:"]);
        scene.recover_from(since);
    }
    Ok(scene.end(|_| false))
}

/// A user of whom nobody else is: the kernel counts the threads of a user,
/// and root's do not count.
const NOBODY: &str = "54321";

fn threads(extent: &Extent) -> Found {
    if !is_root() {
        return Err("needs root".to_owned());
    }
    need_program("prlimit", "util-linux")?;
    crowd(extent, "prlimit --pid $$ --nproc=40:40", &["-u", NOBODY])
}

/// KiB of address space.
const SPACE: &str = "ulimit -v 40000";

fn memory(extent: &Extent) -> Found {
    crowd(extent, SPACE, &[])
}
