//! Too little of something: descriptors, threads. Clients for whom
//! there is no room wait; nobody is turned away, and the control port answers.

use crate::row::{Extent, Found, Row, Scene};
use crate::stand::is_root;
use crate::traffic::{Mix, pass};
use crate::world::need_program;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 3] = [
    Row {
        name: "descriptors",
        fault: "descriptors exhausted (RLIMIT_NOFILE 64), control connections, too",
        run: descriptors,
    },
    Row {
        name: "threads",
        fault: "threads exhausted (RLIMIT_NPROC 40), control connections, too",
        run: threads,
    },
    Row {
        name: "tasks",
        fault: "threads exhausted (cgroup, pids.max 40), control connections, too",
        run: tasks,
    },
];

/// More clients than there is room for; guests leave again soon, so that
/// everybody has a turn.
const CROWD: Mix = Mix { callers: 30, guests: 30, movers: 2, stay: Duration::from_millis(300) };

/// Silent control connections. pen lets each have its say for five seconds.
const SILENT: usize = 30;

/// How long an answer at the control port may take behind them.
const PROMPT: Duration = Duration::from_secs(10);

/// Forced: nothing.
fn crowd(extent: &Extent, mix: Mix, under: &str, words: &[&str]) -> Found {
    let mut scene = Scene::new(mix, |starter, _| {
        let starter = starter.under(under).args(["-r"]).args(words);
        starter.expect("clients wait")
    });
    let control = scene.pen.control().inet();
    let mut slowest = Duration::ZERO;
    for _ in 0..extent.times(6, 1) {
        let since = scene.fault();
        let silent: Vec<TcpStream> =
            (0..SILENT).filter_map(|_| TcpStream::connect(control).ok()).collect();
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
    let messages = scene.pen.messages();
    let was_short = messages.iter().any(|line| line.contains("clients wait"));
    let mut outcome = scene.end(|_| false);
    // A short run may be over before anybody has waited long enough for that.
    outcome.demand(was_short || extent.is_short, || "there was enough for all".to_owned());
    outcome.demand(slowest < PROMPT, || format!("an answer at the control port took {slowest:?}"));
    Ok(outcome)
}

fn descriptors(extent: &Extent) -> Found {
    crowd(extent, CROWD, "ulimit -n 64", &[])
}

/// A user of whom nobody else is, as the kernel counts the threads of a user
/// (root's do not count), on the whole machine: the number of our namespace.
fn nobody() -> u64 {
    fs::metadata("/proc/self/ns/pid").unwrap().ino()
}

fn threads(extent: &Extent) -> Found {
    if !is_root() {
        return Err("needs root".to_owned());
    }
    need_program("prlimit", "util-linux")?;
    let user = nobody().to_string();
    crowd(extent, CROWD, "prlimit --pid $$ --nproc=40:40", &["-u", &user])
}

/// A control group for a pen that may have so many threads. Removed when it
/// goes, which is after pen has ended.
struct Group(PathBuf);

impl Group {
    fn new(most: usize) -> Result<Group, String> {
        // The old hierarchy of this controller, or the one of all.
        let parents = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
        let parent = parents.iter().find(|parent| parent.is_dir());
        let parent = parent.ok_or("needs control groups in /sys/fs/cgroup")?;
        let dir = parent.join(format!("pen-chaos-{}", nobody()));
        fs::create_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let group = Group(dir);
        fs::write(group.0.join("pids.max"), most.to_string())
            .map_err(|e| format!("needs the control group's pids.max: {e}"))?;
        Ok(group)
    }

    /// How a program is started in it.
    fn around(&self) -> String {
        format!("echo 0 >{}/cgroup.procs", self.0.display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn tasks(extent: &Extent) -> Found {
    extent.world.need_own()?;
    let group = Group::new(40)?;
    crowd(extent, CROWD, &group.around(), &[])
}
