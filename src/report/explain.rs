//! What `explain` says: which server a client would get now, and why. The search is that
//! of connections, in a copy of the server table, so that nothing changes.

use crate::pool::choice::{self, Rule, Target};
use crate::pool::clients::Client;
use crate::pool::request::{Refusal, Request};
use crate::proxy::connection::Direction;
use crate::proxy::find;
use crate::proxy::search::{self, How, Lease, Search};
use crate::proxy::servers::Servers;
use crate::proxy::shared::Pen;
use crate::settings::Settings;
use crate::sys::Kind;
use crate::sys::addr::Share;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

/// Which server a client would get now, if it connected from this port.
pub(crate) fn explain(pen: &Pen, client: Client, port: u16) -> String {
    let servers = pen.servers.copy();
    let rules = servers.settings();
    let modes = &rules.modes;
    if rules.dummy {
        return "dummy answers every client\n".to_owned();
    }
    let is_denied = find::is_denied(&rules, client);
    let verdict = if is_denied { "denies" } else { "permits" };
    let mut out = format!("client_acl {} {verdict} {client}\n", rules.client_acl);
    let last = remembered(pen, &rules, client, &mut out);
    if modes.hash && modes.roundrobin && port == 0 {
        out.push_str("the hash includes its port, which was not given\n");
    }
    let mut on = Vec::new();
    if rules.start.kind == Kind::Datagram {
        for (_, connection) in pen.connections.live() {
            let is_its = (connection.client, connection.port) == (client, port);
            let is_over = connection.has_ended(Direction::Down);
            if is_its && !is_over && connection.lease.is_current() {
                on.push(connection.lease.target);
                if !modes.each_datagram() {
                    let name = connection.lease.name();
                    return format!("{out}gets {name}: it has a flow there\n");
                }
            }
        }
    }
    let (acls, timeout) = (rules.acls.as_slice(), rules.timeout);
    let (on, not, came_in) = (on.as_slice(), &[][..], 0);
    let request = Request { client, port, came_in, last, modes, acls, timeout, on, not };
    let mut search = find::search(&servers, &rules, is_denied);
    let lease = search.next(&request);
    if !lease.as_ref().is_some_and(|lease| matches!(lease.how, How::Back | How::Abuse)) {
        let chosen = lease.as_ref().map(|lease| lease.target);
        let is_passed_over =
            |target: Target| is_denied == (target == Target::Abuse) && Some(target) != chosen;
        passed_over(&servers, &search, &request, is_passed_over, &mut out);
    }
    match lease {
        Some(lease) => {
            let why = reason(&servers, &search, &request, &lease);
            let _ = writeln!(out, "gets {}: {why}", lease.name());
        }
        None if modes.stubborn => out.push_str("gets no server: stubborn\n"),
        None => out.push_str("gets no server\n"),
    }
    out
}

/// The server that the client table remembers.
fn remembered(pen: &Pen, rules: &Settings, client: Client, out: &mut String) -> Option<usize> {
    let (now, tracking) = (Instant::now(), rules.tracking);
    let client = client.network(rules.modes.prefix);
    let it = match client {
        Client::Net(..) => client.to_string(),
        _ => "it".to_owned(),
    };
    let found = pen.with_clients(|clients| {
        let record = clients.record(client)?;
        let is_forgotten = record.is_forgotten(now, tracking);
        Some((record.server, now.saturating_duration_since(record.last_seen), is_forgotten))
    });
    let Some((server, age, is_forgotten)) = found else {
        let _ = writeln!(out, "{it} is unknown");
        return None;
    };
    let what = match server {
        _ if is_forgotten => "is forgotten".to_owned(),
        Some(server) => format!("was on server {server}"),
        None => "has no server".to_owned(),
    };
    let _ = writeln!(out, "{it} came {} s ago and {what}", age.as_secs());
    server.filter(|_| !is_forgotten)
}

/// Says why servers do not take the client.
fn passed_over(
    servers: &Servers,
    search: &Search,
    request: &Request,
    is_passed_over: impl Fn(Target) -> bool,
    out: &mut String,
) {
    let now = Instant::now();
    for (target, server) in servers.table().all().filter(|(target, _)| is_passed_over(*target)) {
        let mut why = String::new();
        let _ = match search.refusal(request, target, server, now) {
            None | Some(Refusal::Empty | Refusal::Asked) => continue,
            Some(Refusal::Out) => {
                super::state(&mut why, server, now);
                Ok(())
            }
            Some(Refusal::Full) => {
                let Share { max, hard, .. } = server.share;
                let most = if request.was_on(target) { max.max(hard) } else { max };
                write!(why, " full, {} of {most}", server.connections)
            }
            Some(Refusal::Denied) => write!(why, " acl {} denies the client", server.acl),
            Some(Refusal::Probed) => write!(why, " another client tries whether it is back"),
            Some(Refusal::SlowStart) => write!(why, " slow start"),
        };
        let name = search::name(target, &server.host, server.port);
        let _ = writeln!(out, "not {name}:{why}");
    }
}

/// Why this server was chosen.
fn reason(servers: &Arc<Servers>, search: &Search, request: &Request, lease: &Lease) -> String {
    let (rule, is_hash) = match lease.how {
        How::Back => return "it was there last".to_owned(),
        How::Emergency | How::LastResort => return "no other server takes it".to_owned(),
        How::Abuse => return "it is denied".to_owned(),
        How::Chosen(Rule::Hash) => ("the highest score of its hash", true),
        How::Chosen(Rule::Modulo) => ("by its hash", false),
        How::Chosen(Rule::Weight) => ("the fewest connections for its weight", false),
        How::Chosen(Rule::TurnsByWeight) => ("in turn by weight", false),
        How::Chosen(Rule::Prio) => ("the lowest prio", false),
        How::Chosen(Rule::Turns) => ("in turn", false),
    };
    let first = match is_hash {
        true => choice::by_rendezvous(&servers.table().servers, request, |_, s| !s.is_empty()),
        false => search.start,
    };
    match first.filter(|first| lease.target != Target::Server(*first)) {
        Some(first) => format!("{rule}, in place of server {first}"),
        None => rule.to_owned(),
    }
}

#[cfg(test)]
mod tests;
