//! Names of servers that are looked up again (`resolve`), as their addresses change.
//!
//! One thread does this, as a look-up may take long, and nobody waits for it. It looks
//! every second whether one is due: the time is over, or a server has failed three
//! times in a row. So a server that fails all the time causes no more than one in a
//! second. A look-up that fails changes nothing. Connections stay where they are.

use crate::pool::choice::Target;
use crate::pool::server::{Part, Server};
use crate::proxy::changes;
use crate::proxy::loops;
use crate::proxy::search;
use crate::proxy::shared::Pen;
use crate::sys::addr::{self, Host};
use crate::sys::message::{self, Trouble};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often pen looks whether a look-up is due.
const TICK: Duration = Duration::from_secs(1);

/// How long the thread sleeps while names are not looked up again.
const LONGEST: Duration = Duration::from_secs(3600);

/// Failures in a row after which a server's name is looked up at once.
const MISSES: u32 = 3;

/// A name that is to be looked up.
struct Due {
    target: Target,
    name: Arc<str>,
    port: u16,
    fixed_port: Option<u16>,
    /// Each address is a server.
    is_split: bool,
}

/// Looks names up until the process ends or another one has taken over.
pub(crate) fn watch(pen: &Arc<Pen>) {
    pen.name_watch.wakes_this();
    let (mut last, mut trouble) = (Instant::now(), Trouble::default());
    while !pen.is_replaced() {
        let every = pen.settings().resolve;
        if !every.is_zero() {
            let all = last.elapsed() >= every;
            if all {
                last = Instant::now();
            }
            for due in take_due(pen, all) {
                if let Err(why) = look_up(pen, &due) {
                    trouble.say(format_args!("{why}; the address stays as it was"));
                }
            }
        }
        let is_done = fit(pen);
        thread::park_timeout(if is_done && every.is_zero() { LONGEST } else { TICK });
    }
}

/// Gives addresses that have come a slot and takes those that have gone out. Returns
/// whether none of these has connections left.
fn fit(pen: &Pen) -> bool {
    let (changes, is_done) = {
        let mut table = pen.servers.table();
        let changes = table.expand();
        (changes, !table.servers.iter().any(|server| server.health.is_leaving()))
    };
    for (index, host, port, change) in changes {
        changes::announce(pen, Target::Server(index), &host, port, change);
    }
    is_done
}

/// Takes `all` names, or those of servers that have failed too often.
fn take_due(pen: &Pen, all: bool) -> Vec<Due> {
    let mut due = Vec::new();
    for (target, server) in pen.servers.table().all_mut() {
        let has_failed = server.misses >= MISSES;
        let (target, is_due) = match server.part {
            Part::More(first) => (Target::Server(first), has_failed),
            _ => (target, all || has_failed),
        };
        if is_due && !server.name.is_empty() {
            server.misses = 0;
            if due.iter().any(|due: &Due| due.target == target) {
                continue;
            }
            let (name, is_split) = (Arc::clone(&server.name), server.part != Part::Whole);
            let (port, fixed_port) = (server.port, server.fixed_port());
            due.push(Due { target, name, port, fixed_port, is_split });
        }
    }
    due
}

/// Looks one name up and moves its server, if it has other addresses now. Fails with
/// the name and the reason.
fn look_up(pen: &Pen, due: &Due) -> Result<(), String> {
    let name = &*due.name;
    let mut all = addr::resolve(name)?;
    // Name servers that block a name answer with this.
    all.retain(|at| !at.ip().is_unspecified());
    if all.is_empty() {
        return Err(format!("{name}: this host has no address"));
    }
    let settings = pen.settings();
    let refuse = |all: &[SocketAddr]| match &settings.own {
        Some(own) => loops::refuse(own, &Host::Inet(all.to_vec()), due.fixed_port),
        None => Ok(()),
    };
    refuse(&all).map_err(|why| addr::within(name, &why))?;
    if due.is_split {
        all.retain(|at| refuse(&[*at]).is_ok());
    }
    let list = all.iter().map(|at| at.ip().to_string()).collect::<Vec<_>>().join(", ");
    let before = {
        let mut table = pen.servers.table();
        // A command may have moved it meanwhile.
        let server = table.get_mut(due.target).filter(|server| server.name == due.name);
        server.and_then(|server| move_to(server, name, Host::Inet(all)))
    };
    if let Some(before) = before {
        let before = search::name(due.target, &before, due.port);
        message::say(format_args!("{before}: {name} is {list} now"));
        pen.checks.wake();
    }
    Ok(())
}

/// Moves a server. Returns where it was, if that is another place.
fn move_to(server: &mut Server, name: &str, host: Host) -> Option<Arc<Host>> {
    let before = Arc::clone(&server.host);
    server.move_to(name, host).then_some(before)
}
