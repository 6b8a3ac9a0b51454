//! Leases and the search for a server.

use super::*;
use crate::pool::acl::Acl;
use crate::pool::choice::Modes;
use crate::pool::clients::Client;
use crate::pool::health::State;

fn servers(words: &[&str]) -> Arc<Servers> {
    let servers = Arc::new(Servers::default());
    for word in words {
        let spec = crate::sys::addr::server(word, Some(80.into())).unwrap();
        servers.table().servers.push(Server::new(spec));
    }
    servers
}

fn request(modes: &Modes, last: Option<usize>) -> Request<'_> {
    let client = Client::Inet([127, 0, 0, 1].into());
    let timeout = Duration::from_secs(3);
    Request { client, port: 1, came_in: 0, last, modes, acls: &[], timeout, on: &[], not: &[] }
}

fn targets(servers: &Arc<Servers>, request: &Request) -> Vec<Target> {
    let mut search = Search::new(servers);
    std::iter::from_fn(|| search.next(request)).map(|lease| lease.target).collect()
}

const S: fn(usize) -> Target = Target::Server;

#[test]
fn leases_count_until_dropped() {
    let servers = servers(&["127.0.0.1"]);
    let modes = Modes::default();
    let lease = Search::new(&servers).next(&request(&modes, None));
    assert_eq!(servers.table().servers[0].connections, 1);
    drop(lease);
    assert_eq!(servers.table().servers[0].connections, 0);
}

#[test]
fn remembered_first_then_in_turn() {
    let servers = servers(&["127.0.0.1"; 3]);
    let mut modes = Modes::default();
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(2), S(1), S(0)]);
    // An index that is no longer there is no memory.
    assert_eq!(targets(&servers, &request(&modes, Some(3))), [S(2), S(1), S(0)]);
    modes.stubborn = true;
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(2)]);
    modes.roundrobin = true;
    assert_eq!(targets(&servers, &request(&modes, Some(0))).len(), 1);
}

#[test]
fn empty_down_and_full_servers_are_refused() {
    let servers = servers(&["0.0.0.0", "127.0.0.1:0", "127.0.0.1:80:1:2", "127.0.0.1"]);
    let modes = Modes::default();
    let place = Search::new(&servers).next(&request(&modes, Some(2))).unwrap();
    assert_eq!(place.target, S(2));
    assert_eq!(targets(&servers, &request(&modes, None)), [S(3)]);
    // At the soft limit, but this client was there: up to the hard limit.
    let second = Search::new(&servers).next(&request(&modes, Some(2))).unwrap();
    assert_eq!(second.target, S(2));
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(3)]);
    drop((place, second));
    // Down: remembered or not, it is passed over, and the next one tried.
    let lease = Search::new(&servers).next(&request(&modes, Some(2))).unwrap();
    assert!(lease.failed(Duration::from_secs(30), "").is_some());
    assert!(lease.failed(Duration::from_secs(30), "").is_none());
    drop(lease);
    let lease = Search::new(&servers).next(&request(&modes, Some(2))).unwrap();
    assert_eq!(lease.target, S(3));
    drop(lease);
    servers.table().servers[2].health.succeed(Instant::now());
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(2), S(3)]);
}

#[test]
fn emergency_comes_last_and_abuse_alone() {
    let servers = servers(&["127.0.0.1"]);
    let spec = || crate::sys::addr::server("127.0.0.1:99", None).unwrap();
    servers.table().emergency = Some(Server::new(spec()));
    let mut modes = Modes::default();
    let (emergency, abuse) = (Target::Emergency, Target::Abuse);
    assert_eq!(targets(&servers, &request(&modes, None)), [S(0), emergency]);
    modes.stubborn = true;
    assert_eq!(targets(&servers, &request(&modes, None)), [S(0)]);
    assert!(Search::abuse(&servers).next(&request(&modes, None)).is_none());
    servers.table().abuse = Some(Server::new(spec()));
    let lease = Search::abuse(&servers).next(&request(&modes, None)).unwrap();
    assert_eq!(lease.target, abuse);
}

#[test]
fn a_server_comes_back_after_its_time() {
    let servers = servers(&["127.0.0.1"]);
    let modes = Modes::default();
    let lease = Search::new(&servers).next(&request(&modes, None)).unwrap();
    assert!(lease.failed(Duration::ZERO, "").is_some());
    let lease = Search::new(&servers).next(&request(&modes, None)).unwrap();
    assert!(lease.succeeded(Instant::now()).is_some());
    assert!(lease.succeeded(Instant::now()).is_none());
}

#[test]
fn its_own_list_denies() {
    let servers = servers(&["127.0.0.1", "127.0.0.1"]);
    servers.table().servers[1].acl = 1;
    let modes = Modes::default();
    let mut acls = vec![Acl::default(); 2];
    acls[1].add(crate::pool::acl::Entry {
        permit: false,
        net: crate::pool::acl::Net::V4([127, 0, 0, 1].into(), [255; 4].into()),
    });
    let request = Request { acls: &acls, ..request(&modes, None) };
    assert_eq!(targets(&servers, &request), [S(0)]);
}

/// Whoever began under other settings does not meet what belongs to the new.
#[test]
fn a_search_ends_when_the_settings_change() {
    let servers = servers(&["127.0.0.1", "127.0.0.2"]);
    let settings = Arc::clone(&servers.table().settings);
    let modes = Modes::default();
    let mut search = Search::new(&servers).by(&settings);
    assert!(search.next(&request(&modes, None)).is_some() && !search.is_outdated());
    servers.table().settings = Arc::default();
    assert!(search.next(&request(&modes, None)).is_none() && search.is_outdated());
}

/// Some servers of which these have failed, for so many seconds each.
fn with_failed(count: usize, failed: &[(usize, u64)]) -> Arc<Servers> {
    let words: Vec<String> = (1..=count).map(|port| format!("127.0.0.1:{port}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let servers = servers(&words);
    for (index, seconds) in failed {
        let time = Duration::from_secs(*seconds);
        servers.table().servers[*index].health.fail(time, false, "", Instant::now());
    }
    servers
}

#[test]
fn when_nobody_is_available_the_blacklisted_are_tried() {
    let servers = with_failed(3, &[(0, 30), (1, 10), (2, 20)]);
    let mut modes = Modes::default();
    assert_eq!(targets(&servers, &request(&modes, None)), [S(1), S(2), S(0)]);
    assert_eq!(targets(&servers, &request(&modes, Some(0))), [S(1), S(2), S(0)]);
    let emergency = crate::sys::addr::server("127.0.0.1:99", None).unwrap();
    servers.table().emergency = Some(Server::new(emergency));
    let all = targets(&servers, &request(&modes, None));
    assert_eq!(all, [Target::Emergency, S(1), S(2), S(0)]);
    // Who has drained a server wants nobody there.
    let end = Instant::now() + Duration::from_secs(60);
    servers.table().servers[1].health.drain_until(end);
    assert_eq!(targets(&servers, &request(&modes, None)), [Target::Emergency, S(2), S(0)]);
    modes.stubborn = true;
    assert_eq!(targets(&servers, &request(&modes, None)), []);
}

#[test]
fn a_connect_changes_nothing_for_a_server_drained_meanwhile() {
    let servers = with_failed(1, &[(0, 30)]);
    let modes = Modes::default();
    let lease = Search::new(&servers).next(&request(&modes, None)).unwrap();
    let end = Instant::now() + Duration::from_secs(3600);
    servers.table().servers[0].health.drain_until(end);
    assert!(lease.succeeded(Instant::now()).is_none());
    assert!(lease.failed(Duration::from_secs(1), "").is_none());
    assert_eq!(servers.table().servers[0].state(Instant::now()), State::Drained);
    assert!(servers.table().servers[0].health.blacklist_left(Instant::now()).as_secs() > 3000);
}

#[test]
fn one_client_at_a_time_finds_out_whether_a_server_is_back() {
    let servers = with_failed(2, &[(0, 0)]);
    let modes = Modes { roundrobin: true, ..Modes::default() };
    let request = request(&modes, None);
    let next = || Search::new(&servers).next(&request).unwrap();
    let others = || (0..4).all(|_| next().target == S(1));
    let probe = || loop {
        let lease = next();
        if lease.target == S(0) {
            return lease;
        }
    };
    // It failed again.
    let lease = probe();
    assert!(others());
    assert!(lease.failed(Duration::ZERO, "").is_none());
    drop(lease);
    // It says nothing of the server.
    drop(probe());
    // It is back.
    let lease = probe();
    assert!(others());
    assert!(lease.succeeded(Instant::now()).is_some());
    assert_ne!(next().target, next().target);
    // It has not refused in its time, as a UDP server that never answers.
    servers.table().servers[0].health.fail(Duration::ZERO, false, "", Instant::now());
    let silent = Request { timeout: Duration::ZERO, ..request };
    let both = || [(); 2].map(|()| Search::new(&servers).next(&silent).unwrap());
    assert!(both().iter().chain(&both()).filter(|lease| lease.target == S(0)).count() > 1);
    // Those who can go nowhere else go there, too.
    for both in 0..2 {
        servers.table().servers[both].health.fail(Duration::ZERO, false, "", Instant::now());
    }
    let probes = [next(), next()];
    assert_ne!(probes[0].target, probes[1].target);
    assert_eq!(targets(&servers, &request).len(), 2);
}
