//! pen, a load balancer for "simple" protocols such as HTTP or SMTP.
//!
//! # The way of a connection
//!
//! [`listen`] takes a slot (and waits when all are in use), accepts and hands
//! the client to a thread of [`workers`]. There [`session`] asks the client
//! table ([`client`]) which server it was on, lets [`server`] and [`balance`]
//! name the candidates in order, and [`connect`]s to the first that answers; a
//! failure blacklists that server. Then [`relay`] copies, each direction on a
//! thread of its own, until both have ended. What the connection held - its
//! sockets, its place on the server, its slot - is given back by dropping the
//! [`session::Connection`], whichever thread is last and whatever happened.
//!
//! With `-U` [`udp`] receives all clients' datagrams on one thread. What one
//! client's port sends is a flow ([`flows`]): a connection like the others, but
//! for a thread that passes on the server's answers alone.
//!
//! # The rooms
//!
//! | what | where |
//! |---|---|
//! | start order, signals, the end | [`daemon`], [`process`], [`users`] |
//! | options and operands | [`options`], [`args`], [`addr`] |
//! | what can be set | [`settings`], [`acl`] |
//! | control commands: a line to a `Command`, what it changes, what it shows, the port | [`command`], [`transaction`], [`control`], [`control_socket`] |
//! | configuration files; how files are written where others can write, too | [`config`], [`files`] |
//! | X-Forwarded-For | [`http`] |
//! | UDP: datagrams both ways; which belong together; who waits | [`udp`], [`flows`], [`crowd`] |
//! | servers that are pen itself | [`loops`] |
//! | who may have how many descriptors; how much memory there is | [`budget`], [`cgroup`] |
//! | who is connected, who is idle, why they end | [`connections`], [`idle`], [`ending`] |
//! | what is known at a moment; how scripts see it | [`facts`], [`report`] |
//! | the web interface | [`web`] |
//! | who comes in by its door and the control port's | [`visitors`] |
//! | what all threads share | [`state`] |
//! | messages, request log, counters | [`message`], [`log`], [`stats`] |
//! | connections without clients | [`idlers`] |
//! | the control client | [`penctl`] |
//! | one log for several web servers | [`penlog`], [`penlogd`] |
//! | the web servers' logs with pen's clients in them | [`mergelogs`] |
//! | requests as logs have them; dates in UTC | `request_text`, `date` |
//! | system calls | [`sys`], the only room where the compiler has to trust us |
//!
//! # Invariants
//!
//! * No lock is held across I/O, a name look-up or another thread's work.
//! * No two locks are held at once, so there is no lock order to get wrong.
//! * Settings and servers are under one lock: what a command or a file changes
//!   changes in one step, see [`transaction`], and a server is chosen by the
//!   settings that belong to it.
//! * Counts (connections on a server, slots in use) are changed by guards
//!   alone: [`server::Lease`], [`connections::Slot`].
//! * Nothing that a client, a server, a file or the network sends can panic.
//! * Threads are started after the fork and after the user is changed.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod control;
pub mod getopt;
pub mod http;
pub mod logs;
pub mod options;
pub mod penctl;
pub mod pool;
pub mod proxy;
pub mod report;
pub mod settings;
pub mod start;
pub mod sys;
pub mod udp;
pub mod web;

/// Locks. A thread that panicked while it held the lock ends the process in
/// release builds; in tests the data is still whole, as every critical section
/// here leaves it so at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
