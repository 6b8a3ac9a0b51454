//! What became of clients, as it is counted.

use crate::stand::{Backend, Pen, Starter, better, wait_until};

/// Names and counts, those that are 0 left out.
type Counts = &'static [(&'static str, &'static str)];

/// Waits until these are shown everywhere.
fn are_shown(pen: &Pen, counts: Counts) {
    let names = [
        "accepted",
        "denied",
        "dropped_no_server",
        "dropped_limit",
        "dropped_conn_max",
        "dropped_rate",
        "dropped_no_header",
        "dropped_no_resources",
        "redispatched",
    ];
    let count = |name: &str| counts.iter().find(|row| row.0 == name).map_or("0", |row| row.1);
    let wanted: String = names.iter().map(|name| format!(" {name} {}", count(name))).collect();
    wait_until(format!("it is counted:{wanted}"), || {
        let status = pen.get("/status.json");
        names.iter().all(|name| status.member("\"outcomes\":", name) == count(name))
    });
    let metrics = pen.get("/metrics").body;
    for name in names {
        let line = format!("\npen_clients_{name}_total {}\n", count(name));
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    pen.signal("USR1");
    pen.says(&format!("clients{wanted}"));
}

/// Starts a pen with a web interface that says what USR1 asks for, and this.
fn start<const N: usize>(starter: Starter, expected: [&'static str; N]) -> Pen {
    let usual = [" addr 127.", "client", "ends ", "connect"];
    usual.into_iter().chain(expected).fold(starter.web(), Starter::expect).start()
}

#[test]
fn clients_denied_turned_away_and_sent_on_are_counted() {
    better!(OUTCOMES);
    let starter = Starter::new().args(["-r", "-O", "acl 3 deny 127.0.0.9", "-O", "client_acl 3"]);
    let mut pen = start(starter.letters(2), ["server ", "no server", "denied"]);
    assert_eq!(pen.letters(2), "BA");
    assert_eq!(pen.letter_of(9), "");
    are_shown(&pen, &[("accepted", "3"), ("denied", "1")]);
    pen.end_server(1);
    assert_eq!(pen.letter(), "A");
    are_shown(&pen, &[("accepted", "4"), ("denied", "1"), ("redispatched", "1")]);
    pen.end_server(0);
    assert_eq!(pen.letter(), "");
    // It found server 0 dead, and then server 1.
    are_shown(
        &pen,
        &[("accepted", "5"), ("denied", "1"), ("dropped_no_server", "1"), ("redispatched", "2")],
    );
}

#[test]
fn flows_are_counted_once() {
    better!(OUTCOMES);
    let pen = start(Starter::new().udp().letters(1).absent(), ["server 1"]);
    assert_eq!(pen.asker().letters(3), "AAA");
    assert_eq!(pen.letter(), "A");
    // One of them was refused by server 1, and went on as another flow.
    are_shown(&pen, &[("accepted", "3"), ("redispatched", "1")]);
}

#[test]
fn what_this_host_lacks_is_not_a_lack_of_servers() {
    better!(OUTCOMES);
    // No address of this host.
    let pen = start(Starter::new().args(["-O", "source 192.0.2.1"]).letters(1), ["server"]);
    assert_eq!(pen.letter(), "");
    are_shown(&pen, &[("accepted", "1"), ("dropped_no_resources", "1")]);
}

/// Waits until these are the reasons for which connections have ended, in the order of
/// the manual and as often as they are named, and until what was accepted has ended or
/// is open.
fn have_ended(pen: &Pen, open: usize, wanted: &[&str]) {
    let mut ends = Vec::new();
    wait_until(format!("ended: {wanted:?}, open: {open}"), || {
        let status = pen.get("/status.json");
        let (_, rest) = status.body.split_once("\"ends\":{").unwrap();
        let (all, _) = rest.split_once('}').unwrap();
        let rows = all.split(',').map(|row| row.split_once(':').unwrap());
        let rows = rows.map(|(word, count)| (word.trim_matches('"'), count.parse().unwrap()));
        ends = rows.map(|(word, count): (_, usize)| (word.to_owned(), count)).collect();
        let words = ends.iter().flat_map(|(word, count)| std::iter::repeat_n(word, *count));
        let used: usize = status.member("\"connections\":{", "used").parse().unwrap();
        let accepted: usize = status.member("\"outcomes\":", "accepted").parse().unwrap();
        words.eq(wanted) && used == open && accepted == wanted.len() + open
    });
    let metrics = pen.get("/metrics").body;
    for (word, count) in &ends {
        let line = format!("\npen_connections_ended_total{{reason=\"{word}\"}} {count}\n");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    pen.signal("USR1");
    let words: String = ends.iter().map(|(word, count)| format!(" {word} {count}")).collect();
    pen.says(&format!("ends{words}"));
}

#[test]
fn connections_that_were_accepted_have_ended_or_are_open() {
    better!(ENDS);
    // A client that sends something gets a reset.
    let starter = Starter::new().args(["-O", "acl 3 deny 127.0.0.9", "-O", "client_acl 3"]);
    let starter = starter.with(Backend::resetting);
    let pen = start(starter, ["no server", "denied", " addr "]);
    have_ended(&pen, 0, &[]);
    let client = pen.connect();
    have_ended(&pen, 1, &[]);
    client.end_sending();
    assert!(client.ends());
    have_ended(&pen, 0, &["client-closed"]);
    let client = pen.connect();
    client.send("x");
    assert!(client.ends());
    have_ended(&pen, 0, &["client-closed", "server-reset"]);
    assert_eq!(pen.letter_of(9), "");
    let kept = pen.connect();
    have_ended(&pen, 1, &["client-closed", "server-reset", "denied"]);
    pen.ask("dummy");
    let client = pen.connect();
    client.end_sending();
    assert!(client.rest().starts_with(b"HTTP/1.0 200 "));
    pen.ask("no dummy");
    pen.ask("server 0 address 0");
    assert!(pen.connect().ends());
    let wanted = ["client-closed", "server-closed", "server-reset", "denied", "no-server"];
    have_ended(&pen, 1, &wanted);
    pen.ask("close 0");
    assert!(kept.ends());
    let wanted =
        ["client-closed", "server-closed", "server-reset", "command", "denied", "no-server"];
    have_ended(&pen, 0, &wanted);
}

#[test]
fn flows_that_were_accepted_have_ended_or_are_open() {
    better!(ENDS);
    let starter = Starter::new().udp().letters(1).absent();
    let mut pen = start(starter, ["server ", "no server", "denied"]);
    let client = pen.asker();
    assert_eq!(client.letters(3), "AAA");
    assert_eq!(pen.letter(), "A");
    // Server 1 has refused a flow, which went on as another one.
    have_ended(&pen, 2, &["server-reset"]);
    pen.end_server(0);
    // Both servers refuse, one after the other, and nobody is left.
    pen.asker().send("?");
    have_ended(&pen, 2, &["server-reset"; 3]);
    pen.ask("acl 3 deny 0.0.0.0/0");
    pen.ask("client_acl 3");
    pen.asker().send("?");
    have_ended(&pen, 2, &["server-reset", "server-reset", "server-reset", "denied"]);
}
