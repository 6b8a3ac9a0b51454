//! Files that cannot be written or read, and the signals that open them again.

use crate::row::{Extent, Found, Row, Scene};
use crate::stand::{Dir, Pen, wait_until};
use crate::traffic::{USUAL, pass};
use crate::world::{Signals, run};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 5] = [
    Row { name: "disk-full", fault: "log disk full", run: disk_full },
    Row { name: "state-full", fault: "disk of the client table full", run: state_full },
    Row { name: "log-gone", fault: "log directory gone on HUP", run: log_gone },
    Row { name: "signals", fault: "HUP and USR1, 100 of each a second", run: signals },
    Row { name: "configuration", fault: "broken configuration on HUP", run: configuration },
];

/// How many messages have this in them.
fn said(pen: &Pen, text: &str) -> usize {
    let messages = pen.messages();
    messages.iter().filter(|line| line.contains(text)).count()
}

/// Does something, and waits for pen to say so.
fn says_after(pen: &Pen, text: &str, work: impl FnOnce()) {
    let before = said(pen, text);
    work();
    wait_until(text, || said(pen, text) > before);
}

/// Waits until a file has something in it.
fn fills(file: &Path) {
    wait_until("the log goes on", || fs::metadata(file).is_ok_and(|meta| meta.len() > 0));
}

/// A small disk.
struct Disk(Dir);

impl Disk {
    fn new() -> Disk {
        let disk = Disk(Dir::new());
        let path = disk.0.path().to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs", path]);
        disk
    }

    /// Fills it; the file that does.
    fn fill(&self) -> PathBuf {
        let path = self.0.file("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

const CANNOT_WRITE: &str = "cannot write to the log";

/// Forced: nothing but log lines that are lost. It goes on when there is room.
fn disk_full(extent: &Extent) -> Found {
    extent.world.need_own()?;
    let disk = Disk::new();
    let log = disk.0.file("log");
    let mut scene = Scene::new(USUAL, |starter, _| {
        let words = ["-r", "-l", log.to_str().unwrap()];
        starter.args(words).expect(CANNOT_WRITE)
    });
    for _ in 0..extent.times(8, 2) {
        let filler = disk.fill();
        let since = scene.fault();
        says_after(&scene.pen, CANNOT_WRITE, || ());
        scene.recover_from(since);
        pass(Duration::from_millis(300));
        fs::remove_file(filler).unwrap();
        File::create(&log).unwrap(); // cuts it off
        fills(&log);
    }
    Ok(scene.end(|_| false))
}

const CANNOT_SAVE: &str = "cannot save the clients: No space left";

/// Forced: nothing. The old file stays whole, and a new one comes when there is room.
fn state_full(extent: &Extent) -> Found {
    extent.world.need_own()?;
    let disk = Disk::new();
    let state = disk.0.file("state");
    let line = format!("state {} 1", state.display());
    let mut scene = Scene::new(USUAL, |starter, _| starter.args(["-O", &line]).expect(CANNOT_SAVE));
    let text = || fs::read_to_string(&state).unwrap_or_default();
    let mut faults = Vec::new();
    wait_until("the clients are saved", || state.exists());
    for _ in 0..extent.times(8, 2) {
        let filler = disk.fill();
        let (since, before) = (scene.fault(), text());
        says_after(&scene.pen, CANNOT_SAVE, || ());
        scene.recover_from(since);
        let after = text();
        let is_whole = after.starts_with("pen state 1\n127.") && after.ends_with('\n');
        if before != after || !is_whole {
            let sizes = [before.len(), after.len()];
            faults.push(format!("the file was not kept whole; its sizes: {sizes:?}"));
        }
        fs::remove_file(filler).unwrap();
        wait_until("the clients are saved again", || text() != after);
    }
    let mut outcome = scene.end(|_| false);
    outcome.faults.extend(faults);
    Ok(outcome)
}

const CANNOT_OPEN: &str = "cannot open the log";
const RELOADING: &str = "reloading on HUP";

/// Forced: nothing. The log goes on where it was until it can be opened.
fn log_gone(extent: &Extent) -> Found {
    let (dir, mut kill) = (Dir::new(), Signals::new());
    let logs = dir.file("logs");
    let log = logs.join("log");
    fs::create_dir(&logs).unwrap();
    let mut scene = Scene::new(USUAL, |starter, _| {
        let starter = starter.args(["-r", "-l", log.to_str().unwrap()]);
        starter.expect(CANNOT_OPEN).expect(RELOADING)
    });
    let pid = scene.pen.pid();
    for _ in 0..extent.times(15, 3) {
        fills(&log);
        let since = scene.fault();
        fs::remove_dir_all(&logs).unwrap();
        says_after(&scene.pen, CANNOT_OPEN, || kill.send("HUP", pid));
        scene.recover_from(since);
        fs::create_dir(&logs).unwrap();
        says_after(&scene.pen, RELOADING, || kill.send("HUP", pid));
    }
    fills(&log);
    Ok(scene.end(|_| false))
}

/// Forced: nothing. The report is whole whenever somebody looks.
fn signals(extent: &Extent) -> Found {
    let (dir, mut kill) = (Dir::new(), Signals::new());
    let [page, config, log] = ["page", "config", "log"].map(|name| dir.file(name));
    let settings = "blacklist 7\nacl 3 permit 192.0.2.1\nacl 3 deny 192.0.2.0/24\nno ascii\n";
    fs::write(&config, settings).unwrap();
    let [page_word, config_word, log_word] =
        [&page, &config, &log].map(|path| path.to_str().unwrap());
    let mut scene = Scene::new(USUAL, |starter, _| {
        let words = ["-r", "-w", page_word, "-F", config_word, "-l", log_word];
        starter.args(words).expect(RELOADING)
    });
    let (pid, mut broken, mut pages) = (scene.pen.pid(), 0, 0);
    let end = Instant::now() + extent.seconds(10, 3);
    let mut next = Instant::now();
    scene.traffic.watch(next);
    while next < end {
        scene.faults(2);
        kill.send("HUP", pid);
        kill.send("USR1", pid);
        if let Ok(text) = fs::read_to_string(&page) {
            pages += 1;
            broken += usize::from(!text.trim_end().ends_with("</html>"));
        }
        next += Duration::from_millis(10);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    scene.recover_from(Instant::now());
    let lists = scene.pen.ask(&format!("write {}", dir.file("saved").display()));
    let saved = fs::read_to_string(dir.file("saved")).unwrap();
    let count = |word: &str| saved.lines().filter(|line| line.starts_with(word)).count();
    let (entries, servers) = (count("acl 3 "), count("server "));
    let mut outcome = scene.end(|_| false);
    outcome
        .demand(pages > 0 && broken == 0, || format!("{broken} of {pages} reports were not whole"));
    outcome.demand(lists.is_empty() && entries == 2 && servers == 3, || {
        format!("{entries} access list entries, {servers} servers: {lists}")
    });
    Ok(outcome)
}

/// The file's name, which is in each complaint about it.
const CONFIG: &str = "chaos.cfg";

/// Forced: nothing. What is wrong is said, line by line, and nothing changes.
fn configuration(extent: &Extent) -> Found {
    let (dir, mut kill) = (Dir::new(), Signals::new());
    let config = dir.file(CONFIG);
    fs::write(&config, "blacklist 7\n").unwrap();
    let word = config.to_str().unwrap().to_owned();
    let mut scene = Scene::new(USUAL, |starter, _| {
        let starter = starter.args(["-r", "-F", &word]);
        starter.expect(RELOADING).expect(CONFIG)
    });
    let long = "x".repeat(200_000);
    let broken = [
        "blacklist 9\nthis is no command\n".to_owned(),
        "blacklist 9\nblacklist\t-1\nserver x address y\nacl 99 permit\n".to_owned(),
        format!("blacklist 9\n{long}\n"),
        format!("blacklist 9\ninclude {word}\n"),
        "blacklist 9\nlisten 192.0.2.1:80\ncontrol_acl -\n".to_owned(),
        "blacklist 9\nlog /nonexistent/directory/log\n".to_owned(),
        "blacklist 9\n\u{1}\u{2}\0\n".to_owned(),
        "blacklist 9\nserver 0 address host.invalid\nserver 4000000000 port 1\n".to_owned(),
    ];
    let mut faults = Vec::new();
    let pid = scene.pen.pid();
    for round in 0..extent.times(24, 8) {
        let text = &broken[round % broken.len()];
        fs::write(&config, text).unwrap();
        let since = scene.fault();
        says_after(&scene.pen, CONFIG, || kill.send("HUP", pid));
        scene.recover_from(since);
        let is_known = |wanted: &str| scene.pen.ask("blacklist") == wanted;
        if !is_known("7\n") {
            faults.push(format!("{text:?} has changed something"));
        }
        if round % 4 == 3 {
            // Nothing at all to read.
            fs::remove_file(&config).unwrap();
            says_after(&scene.pen, CONFIG, || kill.send("HUP", pid));
            fs::create_dir(&config).unwrap();
            says_after(&scene.pen, CONFIG, || kill.send("HUP", pid));
            fs::remove_dir(&config).unwrap();
        }
        fs::write(&config, "blacklist 8\n").unwrap();
        says_after(&scene.pen, RELOADING, || kill.send("HUP", pid));
        wait_until("a good configuration counts", || is_known("8\n"));
        scene.pen.ask("blacklist 7");
        let servers = scene.pen.ask("servers");
        if servers.lines().count() != 3 {
            faults.push(format!("after {text:?}: {servers}"));
        }
    }
    let mut outcome = scene.end(|_| false);
    outcome.faults.extend(faults);
    Ok(outcome)
}
