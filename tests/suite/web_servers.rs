//! What the web interface says of servers: checks, connect times, health; and the
//! search for clients.

use crate::stand::{Callers, Host, Pen, Starter, better, full_queue, wait_until};

/// The values of a metric of a server.
fn metric(pen: &Pen, name: &str, server: &str) -> Option<f64> {
    let text = pen.get("/metrics").body;
    let start = format!("{name}{{server=\"{server}\",");
    let line = text.lines().find(|line| line.starts_with(&start))?;
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn the_last_check_is_reported() {
    better!(CHECKS);
    let starter = Starter::new().letters(1).web().args(["-O", "check_fall 1"]);
    let mut pen = starter.expect("server 0").start();
    let answer = pen.get("/status.json");
    assert!(!answer.body.contains("\"check\":{"), "{answer:?}");
    assert_eq!(metric(&pen, "pen_server_last_check_success", "0"), None);
    pen.ask("check 3600");
    wait_until("it is checked", || pen.get("/status.json").body.contains("\"check\":{"));
    let answer = pen.get("/status.json");
    assert_eq!(answer.member("\"check\":{", "why"), "");
    let next = answer.member("\"servers\":", "next_check").parse::<u64>().unwrap();
    assert!((1..=3600).contains(&next), "{next}");
    assert_eq!(metric(&pen, "pen_server_last_check_success", "0"), Some(1.0));
    assert!(metric(&pen, "pen_server_last_check_age_seconds", "0").unwrap() < 60.0);
    assert!(metric(&pen, "pen_server_last_check_duration_seconds", "0").unwrap() < 60.0);
    pen.end_server(0);
    pen.ask("check 1");
    wait_until("it fails", || {
        pen.get("/status.json").member("", "health") == "down"
            && metric(&pen, "pen_server_last_check_success", "0") == Some(0.0)
    });
    let answer = pen.get("/status.json");
    assert!(answer.member("\"check\":{", "why").starts_with("Connection refused"));
}

/// Until the first check of a server has ended, nobody knows; the emergency server is
/// not checked, and serves at once.
#[test]
fn a_server_that_is_not_checked_yet_is_not_ready() {
    better!(CHECKS);
    let host = Host::new();
    let hole = host.at();
    let _full = full_queue(hole.inet());
    let starter = Starter::on(&host).server(&hole).web().expect("server 0");
    let pen = starter.args(["-O", "check 1", "-O", "check_timeout 60"]).start();
    let answer = pen.get("/healthz");
    assert_eq!((answer.status, answer.body.as_str()), (503, "untried\n"));
    pen.ask(&format!("emergency {}", pen.host.at()));
    let answer = pen.get("/healthz");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
}

#[test]
fn times_of_connects_are_reported() {
    better!(WEB);
    let pen = Starter::new().letters(1).web().start();
    assert!(!pen.get("/status.json").body.contains("connect_us"));
    assert_eq!(metric(&pen, "pen_server_connect_median_seconds", "0"), None);
    assert_eq!(pen.letters(20), "A".repeat(20));
    wait_until("it is shown", || pen.get("/status.json").body.contains("connect_us"));
    let answer = pen.get("/status.json");
    let times = ["median", "p99"].map(|name| answer.member("\"connect_us\":{", name).to_owned());
    let [median, p99] = times.map(|time| time.parse::<u64>().unwrap());
    assert!(0 < median && median <= p99 && p99 < 60_000_000, "{median} {p99}");
    let seconds = metric(&pen, "pen_server_connect_median_seconds", "0").unwrap();
    assert!(seconds > 0.0 && seconds < 60.0, "{seconds}");
    assert!(metric(&pen, "pen_server_connect_99th_percentile_seconds", "0") >= Some(seconds));
    // Another server in its place has times of its own.
    pen.ask("server 0 address 127.0.0.9");
    wait_until("they are gone", || !pen.get("/status.json").body.contains("connect_us"));
}

#[test]
fn clients_are_searched_for_in_all_of_the_table() {
    better!(WEB);
    let pen = Starter::new().letters(1).web().start();
    let callers = Callers::new(&pen);
    assert_eq!(callers.letters(1..131), "A".repeat(130));
    let found = |query: &str| {
        let answer = pen.get(&format!("/status.json?{query}"));
        let rows = answer.body.matches("\"client\":").count();
        (answer.member("\"clients\":", "found").to_owned(), rows)
    };
    // The oldest is not among the 100 that are shown.
    let all = pen.get("/status.json");
    assert_eq!(all.member("\"clients\":", "tracked"), "130");
    assert!(!all.body.contains("\"127.0.1.1\"") && !all.body.contains("\"found\""));
    assert_eq!(found("client=127.0.1.1&connections=0"), ("42".to_owned(), 42));
    assert_eq!(found("clients=5&connections=0&client=127.0.1.1"), ("42".to_owned(), 5));
    assert_eq!(found("client=127.0.1.7&clients=1"), ("11".to_owned(), 1));
    assert_eq!(found("client=nobody"), ("0".to_owned(), 0));
}

/// Times among the settings are told from counts.
#[test]
fn settings_have_units() {
    better!(WEB);
    let pen = Starter::new().web().start();
    let answer = pen.get("/status.json");
    let (_, units) = answer.body.split_once("\"units\":{").unwrap();
    for name in ["blacklist", "timeout", "check", "idle_timeout", "tracking"] {
        assert!(units.contains(&format!("\"{name}\":\"s\"")), "{name}: {units}");
    }
    assert!(!units.contains("check_rise"), "{units}");
}
