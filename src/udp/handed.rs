//! Flows that another process hands over at a restart.

use super::Udp;
use super::flows::Key;
use crate::proxy::client_limits;
use crate::proxy::connection::Connection;
use crate::proxy::find::Connected;
use crate::proxy::search;
use crate::proxy::socket::Socket;
use crate::sys;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

/// A flow of the process before: where it was received and its [`Key`], as text, and its
/// socket.
pub(crate) type Handed = (String, OwnedFd);

impl Udp {
    /// Goes on with a flow of the process before. One whose server is another's by now,
    /// and one for which there is no room, begin anew with their next datagram.
    pub(super) fn go_on(self: &Arc<Udp>, key: &str, socket: OwnedFd) -> Option<()> {
        let pen = &self.pen;
        let (word, key) = key.split_once('\n')?;
        let listeners = pen.listener.current();
        let listener = listeners.iter().find(|listener| listener.word() == word)?;
        let down = listener.datagrams()?;
        let key = Key::parse(key, (down.as_raw_fd(), listener.port()))?;
        let accepted = key.accepted();
        let lease = search::lease_at(&pen.servers, &sys::peer(&socket).ok()?, accepted.came_in)?;
        let settings = pen.settings();
        let admitted = client_limits::take_over(pen, &settings, accepted.client);
        let (mut slot, thread) = self.reserve(None)?;
        let tracked = accepted.client.network(settings.modes.prefix);
        let visit = pen.visit(tracked, settings.tracking, false);
        let socket = Socket::from(socket).into_stream();
        let server = Connected { tracked, visit, lease, socket };
        slot.enter();
        pen.outcomes.accepted.add(1);
        let (down, place) = (Arc::clone(down), (slot, admitted));
        let connection = Connection::new(pen.logs(), &settings, accepted, down, server, place);
        let (flow, udp) = (self.begin(key, connection, Vec::new()), Arc::clone(self));
        thread.run(move |buffer| udp.pass_back(flow, buffer));
        Some(())
    }
}
