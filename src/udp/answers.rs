//! The answers of servers, on their way back to the clients.

use super::Udp;
use super::flows::Flow;
use crate::proxy::connection::Direction;
use crate::proxy::ending::Reason;
use crate::proxy::find;
use crate::proxy::workers::Buffer;
use crate::sys::{self, message};
use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::Instant;

impl Udp {
    /// Passes answers back until the flow is over. Each flow has a thread that does this.
    pub(super) fn pass_back(self: &Arc<Udp>, flow: Arc<Flow>, buffer: &mut Buffer) {
        let result = loop {
            match self.pass_back_while_busy(&flow, buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => buffer.release(),
                result => break result,
            }
            if self.pen.is_replaced() {
                // The socket is the other process's, too: it must not be shut down.
                return self.pen.flows.remove(&flow);
            }
        };
        match result {
            Ok(()) => self.end(&flow, Reason::ServerClosed),
            Err(e) => {
                let left = self.fail_over(&flow, &e);
                drop(flow);
                for datagram in left {
                    self.deliver(datagram, None);
                }
            }
        }
    }

    /// Does so until no answer has come for the time [`connect::QUIET`]: that is an
    /// error of the kind `WouldBlock`, and so is it when another process has the flows.
    fn pass_back_while_busy(self: &Arc<Udp>, flow: &Flow, buffer: &mut Buffer) -> io::Result<()> {
        let connection = &flow.connection;
        let source = Arc::clone(connection.source(Direction::Down));
        sys::wait_either(&source, self.pen.flows.leaving())?;
        let check = || match self.pen.is_replaced() {
            true => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            false => Ok(()),
        };
        check()?;
        buffer.lend(source, |reader| {
            loop {
                check()?;
                match reader.fill_buf() {
                    Ok(_) if connection.has_ended(Direction::Down) => return Ok(()),
                    // No empty datagram: another process that has the socket, too, has
                    // ended the flow.
                    Ok([]) if sys::has_hung_up(&**connection.source(Direction::Down)) => {
                        return Ok(());
                    }
                    Ok(data) => {
                        self.answer(flow, data);
                        let len = data.len();
                        reader.consume(len);
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
        })
    }

    /// Sends an answer to the client.
    fn answer(&self, flow: &Flow, data: &[u8]) {
        if !flow.answered() {
            return;
        }
        let connection = &flow.connection;
        connection.note(Direction::Down, data);
        connection.touched.set(self.pen.flows.tick());
        find::note_answer(&self.pen, &connection.lease, Instant::now());
        let client: &std::fs::File = connection.source(Direction::Up);
        match sys::send_to(client, data, &flow.key.peer, flow.key.here) {
            Ok(()) => connection.moved(Direction::Down, data.len()),
            Err(e) => message::debug(1, || {
                format!("{}: lost an answer of {}: {e}", connection.client, data.len())
            }),
        }
    }
}
