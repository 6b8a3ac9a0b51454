//! Leases and the search for a server.

use super::*;

fn servers(words: &[&str]) -> Arc<Servers> {
    let servers = Arc::new(Servers::default());
    for word in words {
        let spec = crate::addr::server(word, Some(80)).unwrap();
        servers.table().servers.push(Server::new(spec));
    }
    servers
}

fn request(modes: &Modes, last: Option<usize>) -> Request<'_> {
    let client = Client::Inet([127, 0, 0, 1].into());
    Request { client, port: 1, last, modes, acls: &[], on: &[], not: &[] }
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
fn remembered_first_then_around() {
    let servers = servers(&["127.0.0.1"; 3]);
    let mut modes = Modes::default();
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(2), S(0), S(1)]);
    // An index that is no longer there is no memory.
    assert_eq!(targets(&servers, &request(&modes, Some(3)))[0], S(1));
    modes.stubborn = true;
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(2)]);
    modes.roundrobin = true;
    assert_eq!(targets(&servers, &request(&modes, Some(0))), [S(2)]);
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
    assert!(lease.failed(Duration::from_secs(30)));
    assert!(!lease.failed(Duration::from_secs(30)));
    drop(lease);
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(3)]);
    assert!(servers.table().servers[2].clear_blacklist());
    assert_eq!(targets(&servers, &request(&modes, Some(2))), [S(2), S(3)]);
}

#[test]
fn emergency_comes_last_and_abuse_alone() {
    let servers = servers(&["127.0.0.1"]);
    let spec = || crate::addr::server("127.0.0.1:99", None).unwrap();
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
    assert!(lease.failed(Duration::ZERO));
    let lease = Search::new(&servers).next(&request(&modes, None)).unwrap();
    assert!(lease.succeeded());
    assert!(!lease.succeeded());
}

#[test]
fn its_own_list_denies() {
    let servers = servers(&["127.0.0.1", "127.0.0.1"]);
    servers.table().servers[1].acl = 1;
    let modes = Modes::default();
    let mut acls = vec![Acl::default(); 2];
    acls[1].add(crate::acl::Entry {
        permit: false,
        net: crate::acl::Net::V4([127, 0, 0, 1].into(), [255; 4].into()),
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
