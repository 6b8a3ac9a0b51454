//! The client table on disk (`state`): clients find their servers again after a restart.

use crate::stand::{Backend, Dir, Host, Pen, Server, Starter, better, root, wait_until};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A pen that keeps its clients in `state` of the host's directory.
fn keeping(host: &Host, more: &str) -> Starter {
    let line = format!("state {}{more}", host.file("state").display());
    Starter::on(host).args(["-O", &line]).control()
}

/// Now, so many seconds ago, as the file has it.
fn ago(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - seconds
}

/// A host with a state file of these lines, in which each `AT` is this server.
fn saved(host: &Host, server: &Backend, lines: &[String]) {
    let text = format!("pen state 1\n{}\n", lines.join("\n"));
    host.dir.put("state", text.replace("AT", &server.at.to_string()));
}

/// What pen knows of a client.
fn known(pen: &Pen, client: &str) -> String {
    let reply = pen.ask(&format!("explain {client}"));
    let line = reply.lines().find(|line| line.starts_with("it "));
    line.unwrap_or(&reply).trim_start_matches(|c: char| c != 's').to_owned()
}

#[test]
fn clients_come_back_to_their_servers_after_a_restart() {
    better!(STATE);
    for udp in [false, true] {
        let host = Host::new();
        let servers: Vec<Server> = (b'A'..=b'C')
            .map(|letter| Server::letter(udp, host.at(), char::from(letter)))
            .collect();
        let start = |order: [usize; 3]| {
            let starter = keeping(&host, "");
            let starter = if udp { starter.udp() } else { starter };
            order.into_iter().fold(starter, |starter, n| starter.server(servers[n].at())).start()
        };
        let before = start([0, 1, 2]).letters_of([2, 3, 4, 5]);
        assert_eq!(before, "BCAB", "{udp}");
        // The servers are found by their addresses, wherever they are in the table.
        assert_eq!(start([2, 0, 1]).letters_of([5, 4, 3, 2]), "BACB", "{udp}");
        assert_eq!(start([1, 2, 0]).letters_of([2, 3, 4, 5]), before, "{udp}");
    }
}

#[test]
fn clients_find_their_servers_when_another_process_takes_over() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 3);
    let line = format!("health_file {}", host.file("health").display());
    let mut pen = keeping(&host, " 1").args(["-O", &line]).servers(&servers).start();
    assert_eq!(pen.letters_of([2, 3, 4, 5]), "BCAB");
    for _ in 0..2 {
        pen.restart();
        assert_eq!(pen.letters_of([5, 4, 3, 2]), "BACB");
    }
    wait_until("the first process ends", || pen.first_has_ended());
    // What the others wrote at their end would be wrong.
    assert_eq!(host.dir.text("health"), "0\n");
    drop(pen);
    assert_eq!(host.dir.text("health"), "-254\n");
    assert_eq!(host.dir.text("state").lines().count(), 5);
}

#[test]
fn the_file_is_text_with_a_line_for_each_client() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 2);
    let start = ago(0);
    {
        let pen = keeping(&host, "").servers(&servers).start();
        assert_eq!(pen.letters_of([7, 8]), "BA");
    }
    let text = host.dir.text("state");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines[0], ["pen", "state", "1"]);
    assert_eq!(lines.len(), 3, "{text}");
    for (line, (client, server)) in lines[1..].iter().zip([("127.0.0.7", 1), ("127.0.0.8", 0)]) {
        assert_eq!([line[0], line[2]], [client, &servers[server].at.to_string()], "{text}");
        assert!((start..=ago(0) + 1).contains(&line[1].parse().unwrap()), "{text}");
    }
    // Addresses of clients concern others as little as a log does.
    assert_eq!(fs::metadata(host.file("state")).unwrap().mode() & 0o027, 0);
    assert_eq!(host.dir.names(), ["state"]);
}

#[test]
fn names_of_servers_are_kept_as_names() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 2);
    let port = servers[0].at.inet().port();
    let config = format!("server 2 address localhost port {port}");
    host.dir.put("state", format!("pen state 1\n192.0.2.1 {} localhost:{port}\n", ago(5)));
    let pen = keeping(&host, "").servers(&servers).args(["-O", &config]).start();
    assert_eq!(known(&pen, "192.0.2.1"), "s ago and was on server 2");
    assert_eq!(pen.letter(), "B");
    drop(pen);
    let text = host.dir.text("state");
    assert!(text.contains(&format!(" localhost:{port}\n")), "{text}");
}

#[test]
fn all_kinds_of_clients_are_kept() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let clients = ["192.0.2.1", "2001:db8::7", "unix"];
    let mut lines = clients.map(|client| format!("{client} {} AT", ago(60))).to_vec();
    lines.push(format!("::ffff:192.0.2.9 {} AT", ago(60)));
    lines.push(format!("192.0.2.10 {} -", ago(60)));
    saved(&host, &servers[0], &lines);
    let pen = keeping(&host, "").servers(&servers).start();
    for client in clients.into_iter().chain(["192.0.2.9"]) {
        assert_eq!(known(&pen, client), "s ago and was on server 0", "{client}");
    }
    assert_eq!(known(&pen, "192.0.2.10"), "s ago and has no server");
    // Someone comes, so that there is something to save.
    assert_eq!(pen.letter(), "A");
    drop(pen);
    let text = host.dir.text("state");
    let seen = |client: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(client));
        line.unwrap_or_else(|| panic!("{client}: {text}")).split(' ').nth(1).unwrap().to_owned()
    };
    // Who has not come again keeps the time, to the second.
    for client in clients.into_iter().chain(["192.0.2.9"]) {
        assert_eq!(seen(client), lines[0].split(' ').nth(1).unwrap(), "{text}");
    }
    assert_eq!(text.lines().count(), 7, "{text}");
}

#[test]
fn a_client_on_a_unix_socket_is_kept() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 2);
    let start = |name: &str| {
        let line = format!("state {}", host.file("state").display());
        Starter::at(host.unix(name)).args(["-O", &line]).servers(&servers).start()
    };
    assert_eq!(start("one").letters(2), "BB");
    assert_eq!(start("two").letters(2), "BB");
}

#[test]
fn of_too_many_those_seen_last_are_kept_in_their_order() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    // In no order, and more than pen keeps in memory while it reads.
    let age = |n: u64| 10 + n * 7919 % 10_007;
    let all = 10_007;
    let line = |n: u64| format!("10.0.{}.{} {} AT", n / 256, n % 256, ago(age(n)));
    saved(&host, &servers[0], &(0..all).map(line).collect::<Vec<_>>());
    let pen = keeping(&host, "").args(["-c", "3"]).servers(&servers).start();
    let mut newest: Vec<u64> = (0..all).collect();
    newest.sort_by_key(|n| age(*n));
    let client = |n: u64| format!("10.0.{}.{}", n / 256, n % 256);
    let is_known = |n: u64| known(&pen, &client(n)) == "s ago and was on server 0";
    assert_eq!(pen.ask("recent 100000").lines().count(), 3);
    assert!(newest[..3].iter().all(|n| is_known(*n)) && !is_known(newest[3]));
    // The one seen longest ago makes room for a new client.
    assert_eq!(pen.letter(), "A");
    assert!(newest[..2].iter().all(|n| is_known(*n)) && !is_known(newest[2]));
}

#[test]
fn who_was_away_for_longer_than_the_tracking_time_is_forgotten() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let lines = [
        format!("192.0.2.1 {} AT", ago(1000)),
        format!("192.0.2.2 {} AT", ago(10)),
        // By a clock that was ahead, and has been set back since.
        format!("192.0.2.3 {} AT", ago(0) + 1_000_000),
        "192.0.2.4 0 AT".to_owned(),
        "192.0.2.5 18446744073709551615 AT".to_owned(),
    ];
    saved(&host, &servers[0], &lines);
    let pen = keeping(&host, "").args(["-T", "100"]).servers(&servers).start();
    for (client, what) in [(1, "is forgotten"), (2, "was on server 0"), (3, "was on server 0")] {
        assert_eq!(known(&pen, &format!("192.0.2.{client}")), format!("s ago and {what}"));
    }
    assert_eq!(known(&pen, "192.0.2.4"), "s ago and is forgotten");
    assert_eq!(known(&pen, "192.0.2.5"), "s ago and was on server 0");
}

#[test]
fn clients_of_servers_that_are_gone_are_left_out_and_counted() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let line = |n: u64, at: &str| format!("192.0.2.{n} {} {at}", ago(n));
    let lines = [line(1, "AT"), line(2, "192.0.2.99:80"), line(3, "gone:80"), line(4, "AT")];
    saved(&host, &servers[0], &lines);
    let pen = keeping(&host, "").servers(&servers).expect("2 clients of servers that are gone");
    let pen = pen.start();
    pen.says("state: 2 clients of servers that are gone left out");
    assert_eq!(pen.ask("recent").lines().count(), 2);
}

#[test]
fn damaged_lines_are_left_out_and_the_first_is_named() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let good = |n: u64| format!("192.0.2.{n} {} AT", ago(n));
    let damaged = [
        "",
        "192.0.2.66",
        "192.0.2.66 7",
        "192.0.2.66 7 ",
        "192.0.2.66 x AT",
        "192.0.2.66 -7 AT",
        "192.0.2 7 AT",
        " 192.0.2.66 7 AT",
        "192.0.2.66 18446744073709551616 AT",
        "\0\0\0\0",
    ];
    let mut lines = vec![good(1), good(2)];
    lines.extend(damaged.map(str::to_owned));
    // One that is too long is one damaged line, however long it is.
    lines.push(format!("192.0.2.66 7 {}", "x".repeat(100_000)));
    lines.push(good(3));
    saved(&host, &servers[0], &lines);
    let mut bytes = fs::read(host.file("state")).unwrap();
    // No UTF-8, and a last line that has been cut off.
    bytes.extend_from_slice(b"\xff\xfe 7 x\n192.0.2.66 7");
    host.dir.put("state", bytes);
    let pen = keeping(&host, "").servers(&servers).expect("damaged lines").start();
    pen.says("state:4: 13 damaged lines left out, this one first");
    assert_eq!(pen.ask("recent").lines().count(), 3);
}

#[test]
fn without_a_file_it_is_the_first_start() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let mut pen = keeping(&host, "").servers(&servers).start();
    assert_eq!(pen.letter(), "A");
    pen.signal("TERM");
    assert!(pen.wait().success());
    // An empty file is as good as none.
    host.dir.put("state", "");
    assert_eq!(keeping(&host, "").servers(&servers).start().letter(), "A");
    assert!(host.dir.text("state").starts_with("pen state 1\n127.0.0.1 "));
}

/// pen starts, says why it knows nobody, and leaves the file as it is.
#[test]
fn what_is_no_file_of_clients_is_neither_read_nor_written() {
    better!(STATE);
    for text in ["roundrobin\n", "pen state\n", "\0"] {
        let host = Host::new();
        let servers = Backend::letters(&host, 1);
        host.dir.put("state", text);
        let starter = keeping(&host, "").servers(&servers);
        let pen = starter.expect("cannot read the saved").expect("cannot save the").start();
        pen.says("state: cannot read the saved clients: its first line is not 'pen state 1'");
        pen.says("state: cannot save the clients: there is another file");
        assert_eq!(pen.letter(), "A");
        drop(pen);
        assert_eq!(host.dir.text("state"), text);
    }
}

#[test]
fn the_file_of_another_version_is_written_anew() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    host.dir.put("state", "pen state 2\nwhat nobody knows\n");
    let pen = keeping(&host, "").servers(&servers).expect("cannot read the saved").start();
    assert_eq!(pen.letter(), "A");
    drop(pen);
    assert!(host.dir.text("state").starts_with("pen state 1\n127.0.0.1 "));
}

#[test]
fn what_is_no_regular_file_is_refused() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    host.dir.pipe("state");
    let starter = keeping(&host, "").servers(&servers);
    let pen = starter.expect("cannot read the saved").expect("cannot save the").start();
    pen.says("state: cannot read the saved clients: not a regular file");
    assert_eq!(pen.letter(), "A");
    let directory = host.dir.path().display().to_string();
    let reply = pen.ask(&format!("state {directory}"));
    assert_eq!(reply, format!("{directory}: cannot save the clients: not a regular file\n"));
}

/// The file is there within the time that was asked for, whatever ends pen then.
#[test]
fn what_has_changed_is_saved_now_and_then() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 2);
    let mut pen = keeping(&host, " 1").servers(&servers).expect("signal: 9").start();
    let is_there = |client: &str| {
        let text = fs::read_to_string(host.file("state")).unwrap_or_default();
        text.contains(&format!("\n{client} "))
    };
    assert_eq!(pen.letter_of(2), "B");
    wait_until("the first client is saved", || is_there("127.0.0.2"));
    assert_eq!(pen.letter_of(3), "A");
    wait_until("the second client is saved", || is_there("127.0.0.3"));
    pen.signal("KILL");
    pen.wait();
    drop(pen);
    assert_eq!(keeping(&host, "").servers(&servers).start().letters_of([3, 2]), "AB");
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let pen = keeping(&host, " 1").servers(&servers).start();
    assert_eq!(pen.letter(), "A");
    let inode = || fs::metadata(host.file("state")).map_or(0, |meta| meta.ino());
    wait_until("the client is saved", || inode() != 0);
    let first = inode();
    // The clock of the thing tested: two more seconds.
    std::thread::sleep(std::time::Duration::from_millis(2200));
    assert_eq!(inode(), first);
    assert_eq!(pen.ask("forget"), "1 forgotten\n");
    wait_until("what was forgotten is saved", || inode() != first);
    assert!(host.dir.text("state").ends_with(" -\n"));
}

#[test]
fn the_command_sets_shows_and_saves_it() {
    better!(STATE);
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let pen = Starter::on(&host).control().servers(&servers).start();
    assert_eq!(pen.ask("state"), "");
    assert_eq!(pen.letter(), "A");
    let file = host.file("state").display().to_string();
    assert_eq!(pen.ask(&format!("state {file}")), format!("{file}\n"));
    wait_until("the clients are saved at once", || host.file("state").exists());
    let text = host.dir.text("state");
    assert!(text.starts_with("pen state 1\n127.0.0.1 "), "{text}");
    assert_eq!(pen.ask(&format!("state {file} 3600")), format!("{file} 3600\n"));
    assert!(pen.written().contains(&format!("\nstate {file} 3600\n")));
    for line in ["state /x 0", "state /x -1", "state /x y", "state /x 99999999999"] {
        let reply = pen.ask(line);
        assert!(reply.starts_with("state: bad number of seconds"), "{line}: {reply}");
    }
    let reply = pen.ask("state /nonexistent/state");
    assert!(reply.starts_with("/nonexistent/state: cannot save the clients: No such"), "{reply}");
    assert_eq!(pen.ask("state"), format!("{file} 3600\n"));
    assert_eq!(pen.ask("no state"), "");
    assert!(pen.written().contains("\nno state\n"));
    drop(pen);
    assert_eq!(host.dir.text("state"), text);
}

#[test]
fn another_user_in_a_jail_keeps_them_there() {
    root!();
    better!(STATE);
    let jail = Dir::new().open_to_all();
    let host = Host::new();
    let servers = Backend::letters(&host, 2);
    let start = || {
        let words = ["-u", "nobody", "-O", "state /state"];
        Starter::on(&host).path("-j", jail.path()).args(words).servers(&servers).start()
    };
    assert_eq!(start().letters_of([2, 3]), "BA");
    assert_ne!(fs::metadata(jail.file("state")).unwrap().uid(), 0);
    assert_eq!(start().letters_of([3, 2]), "AB");
    // A directory that this user cannot write to.
    fs::set_permissions(jail.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let pen = Starter::on(&host)
        .path("-j", jail.path())
        .args(["-u", "nobody", "-O", "state /state"])
        .servers(&servers)
        .expect("/state: cannot save the clients: Permission denied")
        .start();
    pen.says("/state: cannot save the clients: Permission denied");
    assert_eq!(pen.letters_of([3, 2]), "AB");
}

/// A small disk. It is unmounted when this goes.
struct Disk(Dir);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_whole() {
    root!();
    better!(STATE);
    let disk = Disk(Dir::new());
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(disk.0.path())
        .status();
    assert!(mount.unwrap().success());
    let starter = Starter::new().letters(2).control();
    let line = format!("state {} 1", disk.0.file("state").display());
    let pen = starter.args(["-O", &line]).expect("cannot save the clients: No space").start();
    assert_eq!(pen.letter_of(2), "B");
    wait_until("the client is saved", || disk.0.file("state").exists());
    let old = disk.0.text("state");
    let mut filler = File::create(disk.0.file("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    drop(filler);
    assert_eq!(pen.letter_of(3), "A");
    pen.says("state: cannot save the clients: No space left on device");
    // It tries again, and says so no second time.
    assert_eq!(pen.letters_of([2, 3, 4]), "BAB");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(pen.times_said("cannot save the clients"), 1);
    assert_eq!(disk.0.text("state"), old);
    assert_eq!(disk.0.names(), ["filler", "state"]);
    fs::remove_file(disk.0.file("filler")).unwrap();
    wait_until("all clients are saved", || disk.0.text("state").lines().count() == 4);
}
