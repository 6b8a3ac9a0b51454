//! Another process takes over (`restart`, USR2), and no connection is lost.

use crate::stand::{
    Asker, Backend, Client, Host, Pen, Starter, Status, better, our_program, root, signal,
    wait_until,
};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Connects again and again while `work` runs, from several threads. Returns how often
/// that went well; each of them must.
fn clients_meanwhile(pen: &mut Pen, work: impl FnOnce(&mut Pen)) -> usize {
    let (at, over, count) = (pen.at.clone(), AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    assert_eq!(Client::new(&at).letter(), "A");
                    count.fetch_add(1, SeqCst);
                }
            });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(pen)));
        over.store(true, SeqCst);
        done.unwrap_or_else(|why| std::panic::resume_unwind(why));
    });
    count.into_inner()
}

/// Waits until clients have come meanwhile.
fn more(pen: &Pen) {
    let before = pen.servers[0].count();
    wait_until("clients come", || pen.servers[0].count() > before + 20);
}

#[test]
fn who_connects_is_served_by_one_or_the_other() {
    better!(RESTART);
    let mut pen = Starter::new().control().letters(1).start();
    let mut pids = vec![pen.pid()];
    let count = clients_meanwhile(&mut pen, |pen| {
        for _ in 0..3 {
            more(pen);
            pids.push(pen.restart());
        }
        more(pen);
    });
    assert!(count > 60, "{count} clients");
    wait_until("the first process ends", || pen.first_has_ended());
    pids.dedup();
    assert_eq!(pids.len(), 4);
    assert_eq!(pen.ask("pid"), format!("{}\n", pen.pid()));
}

#[test]
fn connections_stay_until_they_end() {
    better!(RESTART);
    let mut pen = Starter::new().control().letters(1).start();
    let (held, _) = pen.hold_all(100);
    pen.restart();
    // A second one, while the first process still has its connections.
    let (later, _) = pen.hold_all(10);
    pen.restart();
    assert!(held.iter().chain(&later).all(|held| held.again() == "A"));
    assert!(!pen.first_has_ended());
    assert_eq!(pen.load(0), 0);
    drop(held);
    wait_until("the first process ends", || pen.first_has_ended());
    assert!(later.iter().all(|held| held.again() == "A"));
}

#[test]
fn connections_that_last_too_long_are_closed() {
    better!(RESTART);
    let starter = Starter::new().control().letters(1).expect("pen is draining");
    let starter = starter.args(["-O", "drain_timeout 1"]);
    let log = starter.host.file("ends");
    let mut pen = starter.args(["-O", &format!("conn_log {}", log.display())]).start();
    let client = pen.connect_to("A");
    pen.restart();
    assert!(client.ends());
    wait_until("the first process ends", || pen.first_has_ended());
    assert!(fs::read_to_string(log).unwrap().ends_with(" pen-ends\n"));
    assert_eq!(pen.letter(), "A");
}

#[test]
fn a_signal_restarts_and_the_pid_file_follows() {
    better!(RESTART);
    let mut pen = Starter::new().control().letters(1).file("-p", "pid").start();
    let old = pen.pid().to_string();
    assert_eq!(pen.text("pid"), old);
    pen.signal("USR2");
    let said = |pen: &Pen| {
        let lines = pen.messages().into_iter();
        lines
            .filter_map(|line| line.split_once(": restart: ").map(|(_, rest)| rest.to_owned()))
            .next_back()
    };
    wait_until("it has taken over", || said(&pen).is_some());
    pen.follow(&(said(&pen).unwrap() + "\n"));
    wait_until("the first process ends", || pen.first_has_ended());
    assert_eq!(pen.text("pid"), pen.pid().to_string());
    assert_eq!(pen.ask("pid").trim_end(), pen.pid().to_string());
    let file = pen.file("pid");
    let _host = pen.host.clone();
    drop(pen);
    assert!(!file.exists());
}

#[test]
fn a_unix_socket_stays_where_it_is() {
    better!(RESTART);
    let starter = Starter::unix().letters(1);
    let control = starter.host.unix("ctl");
    let mut pen = starter.control_at(control).start();
    let path = pen.file("pen.sock");
    let before = fs::metadata(&path).unwrap();
    let client = pen.connect_to("A");
    pen.restart();
    drop(client);
    wait_until("the first process ends", || pen.first_has_ended());
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    assert_eq!(pen.letter(), "A");
    assert_eq!(pen.ask("pid").trim_end(), pen.pid().to_string());
    let _host = pen.host.clone();
    drop(pen);
    assert!(!path.exists());
}

/// The new process has the socket, and fails later.
#[test]
fn a_unix_socket_outlasts_a_process_that_fails_to_start() {
    better!(RESTART);
    let starter = Starter::unix().letters(1).expect("goes on").file("-l", "log");
    let control = starter.host.unix("ctl");
    let pen = starter.control_at(control).start();
    let log = pen.file("log");
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    let reply = pen.ask("restart");
    assert!(reply.contains("log: ") && reply.ends_with("goes on\n"), "{reply}");
    assert_eq!(pen.letter(), "A");
    assert_eq!(pen.ask("pid"), format!("{}\n", pen.pid()));
    fs::remove_dir(log).unwrap();
}

#[test]
fn the_pid_file_outlasts_a_process_that_fails_to_serve() {
    better!(RESTART);
    let starter = Starter::new().control().letters(1).expect("goes on").file("-p", "pid");
    let program = starter.host.file("program");
    fs::copy(our_program(), &program).unwrap();
    let pen = starter.program(program.clone()).start();
    let old = pen.pid().to_string();
    // It ends when it writes its number, after it has made the file empty.
    let script = format!("ulimit -c 0; ulimit -f 0; exec {} \"$@\"", our_program().display());
    put_script(&program, &script);
    let reply = pen.ask("restart");
    assert!(reply.ends_with("goes on\n"), "{reply}");
    assert_eq!(pen.text("pid"), old);
    let file = pen.file("pid");
    let _host = pen.host.clone();
    drop(pen);
    assert!(!file.exists());
}

#[test]
fn where_it_listens_by_command_is_not_kept_unless_it_is_saved() {
    better!(RESTART);
    let starter = Starter::new().control().letters(1).expect("does not listen there any more");
    let moved = starter.host.at();
    let mut pen = starter.start();
    assert_eq!(pen.ask(&format!("listen {moved}")), format!("{moved}\n"));
    pen.restart();
    assert_eq!(pen.letter(), "A");
    wait_until("the old address is closed", || !moved.is_listening());
}

#[test]
fn datagrams_and_their_answers_arrive() {
    better!(RESTART);
    let mut pen = Starter::new().udp().control().letters(1).start();
    let client = pen.asker();
    let (over, at) = (AtomicBool::new(false), pen.at.clone());
    thread::scope(|scope| {
        scope.spawn(|| {
            let other = Asker::new(&at);
            while !over.load(SeqCst) {
                assert_eq!(other.letter(), "A");
            }
        });
        for _ in 0..3 {
            assert_eq!(client.letters(20), "A".repeat(20));
            pen.restart();
        }
        assert_eq!(client.letter(), "A");
        over.store(true, SeqCst);
    });
    wait_until("the first process ends", || pen.first_has_ended());
    assert_eq!(client.letter(), "A");
    // Each client's datagrams come from the port that they came from before.
    assert_eq!(pen.servers[0].peers().len(), 2);
}

#[test]
fn an_answer_on_its_way_arrives() {
    better!(RESTART);
    let (starter, server) = Starter::new().udp().control().by_hand();
    let mut pen = starter.start();
    let client = pen.asker();
    client.send("question");
    let mut buffer = [0; 64];
    let (count, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"question");
    pen.restart();
    wait_until("the first process ends", || pen.first_has_ended());
    server.send_to(b"answer", from).unwrap();
    assert_eq!(client.receive(), b"answer");
}

/// What one process has admitted is not asked again by the next.
#[test]
fn flows_stay_whatever_the_limits_of_clients_are() {
    better!(RESTART);
    let (starter, server) = Starter::new().udp().config("").control().by_hand();
    let mut pen = starter.expect("drop: ").start();
    let clients: Vec<Asker> = (0..4).map(|_| pen.asker()).collect();
    let mut buffer = [0; 64];
    let ways = clients.iter().map(|client| {
        client.send("question");
        server.recv_from(&mut buffer).unwrap().1
    });
    let ways: Vec<_> = ways.collect();
    pen.host.dir.put("pen.cfg", "client_conn_max 2\nclient_rate 1/86400\n");
    pen.restart();
    wait_until("the first process ends", || pen.first_has_ended());
    for (client, from) in clients.iter().zip(ways) {
        server.send_to(b"answer", from).unwrap();
        assert_eq!(client.receive(), b"answer");
    }
    // They count for those who come.
    let further = pen.asker();
    further.send("question");
    pen.says("as many connections as client_conn_max allows");
}

/// Puts a script in place of a program.
fn put_script(program: &Path, script: &str) {
    let new = program.with_extension("new");
    fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, program).unwrap();
}

/// A pen whose program is its own.
fn with_own_program() -> (Pen, std::path::PathBuf) {
    let starter = Starter::new().control().letters(1).expect("goes on").expect("pen is draining");
    let program = starter.host.file("program");
    fs::copy(our_program(), &program).unwrap();
    (starter.program(program.clone()).start(), program)
}

/// While the new process starts.
#[test]
fn a_stop_meanwhile_is_for_both() {
    better!(RESTART);
    let (pen, program) = with_own_program();
    let (began, marker) = (pen.file("began"), pen.file("marker"));
    put_script(
        &program,
        &format!(
            ">{}; until [ -e {} ]; do sleep 0.01; done; exec {} \"$@\"",
            began.display(),
            marker.display(),
            our_program().display()
        ),
    );
    pen.ask("drain_timeout 60");
    let client = pen.connect_to("A");
    pen.signal("USR2");
    wait_until("the new one starts", || began.exists());
    pen.signal("TERM");
    pen.says("pen is draining");
    fs::write(marker, "").unwrap();
    pen.says("restart: pen is stopping");
    drop(client);
    wait_until("nobody listens", || !pen.at.is_listening());
}

#[test]
fn the_program_may_be_replaced_meanwhile() {
    better!(RESTART);
    let (mut pen, program) = with_own_program();
    let marker = pen.file("marker");
    put_script(
        &program,
        &format!(">{}; exec {} \"$@\"", marker.display(), our_program().display()),
    );
    clients_meanwhile(&mut pen, |pen| {
        pen.restart();
        more(pen);
    });
    assert!(marker.exists());
}

#[test]
fn a_program_that_does_not_work_changes_nothing() {
    better!(RESTART);
    let (mut pen, program) = with_own_program();
    let pid = pen.pid();
    clients_meanwhile(&mut pen, |pen| {
        let goes_on = format!("; process {pid} goes on\n");
        for (script, why) in [
            ("exit 3", "ended: exit status: 3"),
            ("exec 3>&-; exec sleep 600", "is not one that takes over"),
            ("kill -9 $$", "ended: signal: 9"),
        ] {
            put_script(&program, script);
            let reply = pen.ask("restart");
            assert!(reply.starts_with("restart: ") && reply.ends_with(&goes_on), "{reply}");
            assert!(reply.contains(why), "{reply}");
        }
        fs::remove_file(&program).unwrap();
        let reply = pen.ask("restart");
        assert!(reply.contains("cannot be started: No such file"), "{reply}");
        more(pen);
    });
    assert_eq!(pen.ask("pid"), format!("{pid}\n"));
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    assert_eq!(children.unwrap_or_default(), "");
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    better!(RESTART);
    let starter = Starter::new().control().letters(1).config("blacklist 7\n");
    let pen = starter.expect("goes on").start();
    pen.host.dir.put("pen.cfg", "blacklist 7\nnonsense\nrubbish\n");
    let reply = pen.ask("restart");
    assert!(reply.contains("line 2: nonsense: no such command"), "{reply}");
    assert!(reply.contains("; ") && reply.lines().count() == 1, "{reply}");
    assert_eq!(pen.letter(), "A");
    assert_eq!(pen.ask("blacklist"), "7\n");
}

#[test]
fn the_rights_that_were_given_up_are_not_needed() {
    better!(RESTART);
    root!();
    let host = Host::new();
    let server = Backend::letter(host.at(), 'A');
    let low = crate::stand::At::Inet((host.ip, 99).into());
    let control = host.at();
    let reach = [low.to_string(), control.to_string(), server.at.to_string()];
    let [at, ctl, server_at] = reach.each_ref().map(String::as_str);
    let words = ["-f", "-u", "nobody", "-C", ctl, at, server_at];
    let mut old = Command::new(our_program()).args(words).stderr(Stdio::null()).spawn().unwrap();
    wait_until("it listens", || control.is_listening() && low.is_listening());
    let client = Client::new(&low);
    assert_eq!(client.letter(), "A");
    let ask = Client::new(&control);
    ask.send("restart\n");
    let reply = String::from_utf8(ask.rest()).unwrap();
    let pid = reply.split(' ').nth(1).unwrap_or_default().parse();
    let pid: u32 = pid.unwrap_or_else(|_| panic!("{reply}"));
    drop(client);
    assert!(old.wait().unwrap().success());
    let uid = |pid| Status::of(pid).unwrap().words("Uid")[0].to_owned();
    assert_ne!(uid(pid), "0");
    assert_eq!(Client::new(&low).letter(), "A");
    signal(pid, "TERM");
    wait_until("it ends", || !low.is_listening());
}

/// As a service manager starts it: with a socket, for a process of this number.
#[test]
fn a_socket_that_it_was_started_with_is_used() {
    better!(RESTART);
    let host = Host::new();
    let server = Backend::letter(host.at(), 'A');
    let socket = std::net::TcpListener::bind(host.addr()).unwrap();
    let at = socket.local_addr().unwrap().to_string();
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(our_program()).args(["-f", &at, &server.at.to_string()]);
    command.stdin(OwnedFd::from(socket.try_clone().unwrap())).stderr(Stdio::null());
    let mut pen = command.spawn().unwrap();
    let client = Client::new(&crate::stand::At::Inet(socket.local_addr().unwrap()));
    assert_eq!(client.letter(), "A");
    signal(pen.id(), "TERM");
    assert!(pen.wait().unwrap().success());
}

/// The manager listens there when pen has ended, before and after a restart.
#[test]
fn the_file_of_a_unix_socket_that_it_was_started_with_stays() {
    better!(RESTART);
    let host = Host::new();
    let server = Backend::letter(host.at(), 'A');
    let path = host.file("lent");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let place = crate::stand::At::Unix(path.clone());
    let (at, pid_file) = (path.to_str().unwrap(), host.file("lent-pid"));
    let number = || fs::read_to_string(&pid_file).unwrap_or_default();
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    for restarts in [false, true] {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(our_program()).args(["-f", "-p"]);
        command.arg(&pid_file).args([at, &server.at.to_string()]);
        command.stdin(OwnedFd::from(socket.try_clone().unwrap())).stderr(Stdio::null());
        let mut pen = command.spawn().unwrap();
        assert_eq!(Client::new(&place).letter(), "A");
        let first = pen.id();
        if restarts {
            signal(first, "USR2");
            assert!(pen.wait().unwrap().success());
            assert_eq!(Client::new(&place).letter(), "A");
            signal(number().parse().unwrap(), "TERM");
            wait_until("it ends", || !pid_file.exists());
        } else {
            signal(first, "TERM");
            assert!(pen.wait().unwrap().success());
        }
        assert!(path.exists(), "after a restart: {restarts}");
    }
}

/// What a service manager is told, without the time.
fn told(socket: &std::os::unix::net::UnixDatagram) -> String {
    let mut text = [0; 256];
    let count = socket.recv(&mut text).unwrap();
    let text = String::from_utf8(text[..count].to_vec()).unwrap();
    text.split("_USEC=").next().unwrap().to_owned()
}

#[test]
fn a_service_manager_is_told_which_process_it_is() {
    better!(RESTART);
    let starter = Starter::new().control().letters(1);
    let path = starter.host.file("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::stand::PATIENCE)).unwrap();
    let set = format!("export NOTIFY_SOCKET={}", path.display());
    let mut pen = starter.under(&set).start();
    assert_eq!(told(&socket), "READY=1");
    pen.signal("HUP");
    assert_eq!(told(&socket), "RELOADING=1\nMONOTONIC");
    assert_eq!(told(&socket), "READY=1");
    let pid = pen.restart();
    assert_eq!(told(&socket), format!("MAINPID={pid}"));
    assert_eq!(told(&socket), "READY=1");
    // The old process says nothing when it ends.
    wait_until("the first process ends", || pen.first_has_ended());
    let _host = pen.host.clone();
    drop(pen);
    assert_eq!(told(&socket), "STOPPING=1");
}

#[test]
fn a_program_out_of_reach_in_the_jail_changes_nothing() {
    better!(RESTART);
    root!();
    let starter = Starter::new().control().letters(1).expect("goes on");
    let jail = crate::stand::Dir::new();
    let pen = starter.path("-j", jail.path()).start();
    let reply = pen.ask("restart");
    assert!(reply.contains("cannot be started: No such file"), "{reply}");
    assert!(reply.contains("(in the directory of -j)"), "{reply}");
    assert_eq!(pen.letter(), "A");
}

#[test]
fn process_1_says_what_to_do_instead() {
    better!(RESTART);
    root!();
    let host = Host::new();
    let (control, at, server) = (host.at(), host.at().to_string(), host.at().to_string());
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(our_program());
    command.args(["-f", "-u", "root", "-C", &control.to_string(), &at, &server]);
    let mut unshare = command.stderr(Stdio::null()).spawn().unwrap();
    wait_until("it listens", || control.is_listening());
    let ask = Client::new(&control);
    ask.send("restart\n");
    let reply = String::from_utf8(ask.rest()).unwrap();
    unshare.kill().unwrap();
    unshare.wait().unwrap();
    assert!(reply.contains("start another container instead"), "{reply}");
    wait_until("it ends", || !control.is_listening());
}
