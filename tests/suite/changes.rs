//! What follows when the state of a server changes.

use crate::endings::{ends, handing_over};
use crate::stand::{Client, Pen, Starter, better, wait_until};
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;

/// Whether a reset comes.
fn is_reset(client: &Client) -> bool {
    (&client.0).read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
}

/// Waits until so many connections have been cut.
fn are_cut(pen: &Pen, count: &str) {
    wait_until("they are counted", || {
        pen.get("/status.json").member("\"ends\":", "server-cut") == count
    });
}

#[test]
fn connections_of_a_server_that_goes_down_are_kept_or_cut() {
    better!(CHECKS);
    let (starter, streams) = handing_over(Starter::new().args(["-r"]).letters(1));
    let mut pen = starter.web().expect("server 1 ").start();
    let take_out = |pen: &Pen| {
        pen.ask("server 1 state down");
        pen.says("server 1 ");
        pen.ask("server 1 state ready");
    };
    let (kept, kept_server) = ends(&pen, &streams);
    take_out(&pen);
    assert!(kept.is_quiet() && kept_server.is_quiet());
    // It is the turn of the other one, which is not concerned.
    let other = pen.connect_to("A");
    assert_eq!(pen.ask("on_down cut"), "cut\n");
    let (cut, cut_server) = ends(&pen, &streams);
    take_out(&pen);
    for end in [&kept, &kept_server, &cut, &cut_server] {
        assert!(is_reset(end));
    }
    are_cut(&pen, "2");
    // Drained and maintained servers keep theirs.
    assert_eq!(pen.letter(), "A");
    let (kept, _kept_server) = ends(&pen, &streams);
    pen.ask("server 1 state drain");
    pen.ask("server 1 state maint");
    assert!(kept.is_quiet());
    pen.ask("server 1 state ready");
    // A check finds out.
    pen.end_server(1);
    pen.ask("check 1");
    assert!(is_reset(&kept));
    other.send("\n");
    assert_eq!(other.letter(), "A");
}

#[test]
fn flows_of_a_server_that_goes_down_are_cut() {
    better!(CHECKS);
    let starter = Starter::new().udp().args(["-O", "on_down cut"]).letters(1).web();
    let pen = starter.expect("server 0 ").start();
    assert_eq!(pen.letters(2), "AA");
    pen.ask("server 0 state down");
    // Without another datagram.
    are_cut(&pen, "2");
    wait_until("they are over", || {
        pen.get("/status.json").member("\"connections\":{", "used") == "0"
    });
}

#[test]
fn a_program_is_run_at_each_change() {
    better!(CHECKS);
    let starter = Starter::new().args(["-b", "0"]).letters(1).control();
    let out = starter.host.file("out");
    let script = format!("#!/bin/sh\necho \"$#|$1|$2|$3|$4\" >>{}\necho done\n", out.display());
    let program = starter.host.dir.put("program", script);
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let starter = starter.args(["-O", &format!("on_change {}", program.display())]);
    let expected = ["server 0 ", "drop: ", "on_change: "];
    let mut pen = expected.into_iter().fold(starter, Starter::expect).start();
    let at = pen.servers[0].at().to_string();
    let mut lines = Vec::new();
    let mut is_told = |change: &str| {
        lines.push(format!("4|{at}|{change}"));
        let wanted = lines.join("\n") + "\n";
        wait_until(format!("{change} is told"), || {
            fs::read_to_string(&out).unwrap_or_default() == wanted
        });
    };
    assert_eq!(pen.letter(), "A");
    is_told("untried|up|");
    pen.ask("server 0 state down");
    is_told("up|down|by command");
    pen.ask("server 0 state ready");
    is_told("down|up|by command");
    pen.end_server(0);
    assert_eq!(pen.letter(), "");
    is_told("up|failing|Connection refused (os error 111)");
    fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    pen.ask("server 0 state maint");
    pen.says(&format!("on_change: {}: status 3", program.display()));
    pen.ask("no on_change");
    pen.ask("server 0 state ready");
}
