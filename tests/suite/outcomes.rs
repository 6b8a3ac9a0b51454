//! What became of clients, as it is counted.

use crate::stand::{At, Caller, Pen, Place, Starter, better, get, letters, wait_until};
use crate::web::with_web;

/// Names and counts, those that are 0 left out.
type Counts = &'static [(&'static str, &'static str)];

/// Waits until these are shown everywhere.
fn are_shown(pen: &Pen, web: &At, counts: Counts) {
    let names = [
        "accepted",
        "denied",
        "dropped_no_server",
        "dropped_limit",
        "dropped_no_resources",
        "redispatched",
    ];
    let count = |name: &str| counts.iter().find(|row| row.0 == name).map_or("0", |row| row.1);
    let wanted: String = names.iter().map(|name| format!(" {name} {}", count(name))).collect();
    wait_until(format!("it is counted:{wanted}"), || {
        let status = get(web, "/status.json");
        names.iter().all(|name| status.member("\"outcomes\":", name) == count(name))
    });
    let metrics = get(web, "/metrics").body;
    for name in names {
        let line = format!("\npen_clients_{name}_total {}\n", count(name));
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    pen.signal("USR1");
    pen.says(&format!("clients{wanted}"));
}

#[test]
fn clients_denied_turned_away_and_sent_on_are_counted() {
    better!(OUTCOMES);
    let place = Place::new();
    let mut servers = letters(&place, 2);
    let starter = Starter::new(&place).args(["-r", "-O", "acl 3 deny 127.0.0.9"]);
    let starter = starter.args(["-O", "client_acl 3"]).servers(&servers);
    let expected = ["server ", "no server", "denied", " addr 127.", "client", "connection "];
    let (pen, web) = with_web(&place, expected.into_iter().fold(starter, Starter::expect));
    let denied = Caller::new(&place, 9, &pen);
    assert_eq!(pen.letters(2), "BA");
    assert_eq!(denied.letter(), "");
    are_shown(&pen, &web, &[("accepted", "3"), ("denied", "1")]);
    servers.pop();
    assert_eq!(pen.letter(), "A");
    are_shown(&pen, &web, &[("accepted", "4"), ("denied", "1"), ("redispatched", "1")]);
    servers.clear();
    assert_eq!(pen.letter(), "");
    // It found server 0 dead, and then server 1.
    are_shown(
        &pen,
        &web,
        &[("accepted", "5"), ("denied", "1"), ("dropped_no_server", "1"), ("redispatched", "2")],
    );
}

#[test]
fn flows_are_counted_once() {
    better!(OUTCOMES);
    let place = Place::new();
    let servers = crate::stand::responders(&place, 1);
    let starter = Starter::datagrams(&place).servers(&servers).server(&place.at());
    let expected = ["server 1", " addr 127.", "client", "connection "];
    let (pen, web) = with_web(&place, expected.into_iter().fold(starter, Starter::expect));
    let client = pen.asker();
    assert_eq!(client.letters(3), "AAA");
    assert_eq!(pen.asker_letters(1), "A");
    are_shown(&pen, &web, &[("accepted", "2"), ("redispatched", "1")]);
}

#[test]
fn what_this_host_lacks_is_not_a_lack_of_servers() {
    better!(OUTCOMES);
    let place = Place::new();
    let servers = letters(&place, 1);
    // No address of this host.
    let starter = Starter::new(&place).args(["-O", "source 192.0.2.1"]).servers(&servers);
    let expected = ["server", " addr 127.", "client", "connection "];
    let (pen, web) = with_web(&place, expected.into_iter().fold(starter, Starter::expect));
    assert_eq!(pen.letter(), "");
    are_shown(&pen, &web, &[("accepted", "1"), ("dropped_no_resources", "1")]);
}
