//! What pen does for a client that connects, on one page: accept, find a server,
//! relay, end.
//!
//! The loop takes a slot and two threads before it accepts: while they are not
//! to be had, clients wait in the kernel's queue. Errors of accept fall into two
//! classes: one client was lost (go on), or this host is out of something (pause,
//! then go on). Neither ends the loop.

use crate::pool::clients::Client;
use crate::proxy::connection::Connection;
use crate::proxy::ending::Reason;
use crate::proxy::find::{self, Found};
use crate::proxy::header;
use crate::proxy::listener::Accepted;
use crate::proxy::listeners::Acceptor;
use crate::proxy::relay;
use crate::proxy::shared::Pen;
use crate::proxy::slots::Slot;
use crate::proxy::socket::{Socket, Stream};
use crate::proxy::workers::{Buffer, Worker};
use crate::proxy_protocol::SendProxy;
use crate::sys::message::{self, Trouble};
use crate::sys::{self, Kind};
use std::io::{BufRead, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long accept rests when the system is out of something.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// Accepts clients until the listener is closed for good.
pub(crate) fn accept_loop(pen: &Arc<Pen>) {
    let mut acceptor = pen.listener.acceptor();
    let mut kept = None;
    let (mut trouble, mut full) = (Trouble::default(), Trouble::default());
    loop {
        acceptor.refresh();
        if acceptor.is_over() {
            return;
        }
        let Some(slot) = kept.take().or_else(|| find_slot(pen, &mut acceptor, &mut full)) else {
            continue;
        };
        let hire = || pen.workers.hire(PAUSE);
        let (up, down) = match hire().and_then(|up| Ok((up, hire()?))) {
            Ok(both) => both,
            Err(e) => {
                kept = Some(slot);
                trouble.say(format_args!("clients wait: cannot start a thread: {e}"));
                continue;
            }
        };
        match acceptor.accept() {
            Ok((socket, accepted)) => {
                let pen = Arc::clone(pen);
                up.run(move |buffer| serve(&pen, socket, accepted, slot, down, buffer));
            }
            Err(_) if acceptor.is_over() => return,
            Err(e) => {
                kept = Some(slot);
                if sys::is_exhausted(&e) {
                    trouble.say(format_args!("clients wait: cannot accept: {e}"));
                    thread::sleep(PAUSE);
                } else {
                    message::debug(1, || format!("lost a client in accept: {e}"));
                }
            }
        }
    }
}

/// Takes a slot for the next client. While all are in use and a client waits, it
/// says so once a minute. `None` if the listener has moved meanwhile.
fn find_slot(pen: &Arc<Pen>, acceptor: &mut Acceptor, full: &mut Trouble) -> Option<Slot> {
    let connections = &pen.connections;
    if let Some(slot) = connections.try_take() {
        return Some(slot);
    }
    if full.is_due() && acceptor.has_client() {
        if let Some(most) = connections.full() {
            full.say(format_args!(
                "clients wait: all {most} connections are in use (see -x and ulimit -n)"
            ));
        }
    }
    connections.take(|| pen.listener.has_moved(), message::MINUTE)
}

/// Serves one client until it has gone. The caller's thread copies what the client
/// sends, the thread `down` what the server sends.
fn serve(
    pen: &Arc<Pen>,
    socket: Socket,
    mut accepted: Accepted,
    mut slot: Slot,
    down: Worker,
    buffer: &mut Buffer,
) {
    slot.enter();
    pen.outcomes.accepted.add(1);
    let mut settings = pen.settings();
    if settings.accept_proxy {
        let Some(named) = header::receive(pen, &settings, &socket, accepted) else {
            return;
        };
        accepted = named;
    }
    if settings.dummy {
        pen.conn_log.ends.count(Reason::ServerClosed);
        return dummy(socket.into_stream(), buffer);
    }
    let Some(admitted) = find::admit(pen, &settings, &accepted) else {
        return;
    };
    let found = find::find_server(pen, &mut settings, &accepted, &[], &[]);
    let Some(Found::New(server)) = found else {
        return;
    };
    // On Linux an accepted socket inherits the option from the listening one.
    let has_nodelay = cfg!(target_os = "linux");
    if settings.nodelay != has_nodelay && accepted.client != Client::Unix {
        socket.set_nodelay(settings.nodelay);
    }
    let header = match server.lease.send_proxy {
        SendProxy::Off => Vec::new(),
        send => header::about(&accepted, socket.address().ok(), send, Kind::Stream),
    };
    let socket = socket.into_stream();
    let place = (slot, admitted);
    let connection = Connection::new(pen.logs(), &settings, accepted, socket, server, place);
    if !header.is_empty() {
        header::send(&connection, &header);
    }
    // One that was being made could not be cut with the others.
    if settings.cut && connection.lease.has_gone_down() {
        connection.reset(Reason::ServerCut);
    }
    drop(settings);
    relay::run(connection, down, buffer);
}

/// The answer to every client, if `dummy` is set.
const DUMMY_PAGE: &str = "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\
    Content-Length: 45\r\nConnection: close\r\n\r\n\
    <html><body><h1>It works!</h1></body></html>\n";

/// Answers a client without any server. What it asks is read first, so that the close
/// does not reset the connection.
fn dummy(stream: Stream, buffer: &mut Buffer) {
    let has_asked = sys::wait_either(&stream, &stream).is_ok();
    if has_asked && buffer.lend(Arc::clone(&stream), |reader| reader.fill_buf().map(drop)).is_ok() {
        let _ = (&*stream).write_all(DUMMY_PAGE.as_bytes());
        sys::shut(&stream, Shutdown::Write);
    }
}
