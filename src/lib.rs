//! pen, a load balancer for "simple" protocols such as HTTP or SMTP.
//!
//! # The way of a connection
//!
//! 1. [`proxy::accept`] takes a slot and two threads of [`proxy::workers`], and then
//!    accepts a client on the [`proxy::listener`]. While there is no slot
//!    ([`proxy::slots`]) or thread, clients wait in the kernel's queue.
//! 2. [`proxy::find`] asks the client table ([`pool::clients`]) which server the client
//!    was on, and the [`proxy::search::Search`] for candidates: that server, then those
//!    that [`pool::choice`] names, the emergency server, and servers that have failed. It
//!    takes the first one that [`proxy::connect`] can connect to, and blacklists those
//!    that fail.
//! 3. [`proxy::relay`] copies, each direction on a thread of its own, until both have
//!    ended.
//! 4. When the last thread drops the [`proxy::connection::Connection`], sockets, the
//!    place on the server and the slot are given back, whatever happened.
//!
//! With `-U`, [`udp`] receives the datagrams of all clients on one thread; those that
//! need a slot first wait in a queue, which has another one. What a client's port and
//! a server send each other is a flow: a connection like the others, with one thread,
//! which passes on the server's answers.
//!
//! # The way of a server down and back
//!
//! [`pool::health`] holds what is known of a server, and decides. It hears of connects
//! from [`proxy::find`], of checks from [`proxy::checks`] and of what operators want
//! from [`control::edit`]. When a state changes, [`proxy::changes`] does what follows.
//!
//! # The way of a restart
//!
//! [`proxy::restart`] starts the program as it is installed now, hands it the listening
//! sockets and the flows of UDP, and this process ends when its connections have
//! ([`proxy::drain`]). The other side is `start/old_process.rs`. [`proxy::state`] keeps
//! the client table in a file.
//!
//! # The way of a command
//!
//! [`control::port`], the web interface, `-O` and configuration files
//! ([`control::config`]) hand lines to [`control::commands`]. [`control::parse`] makes a
//! command of a line by the one table, [`control::table`], and
//! [`control::transaction`] carries it out: settings and servers change in one step, and
//! what shows or does something else is in [`control::commands`] again. On HUP,
//! [`start`] opens the logs again and reads the configuration file again, as one
//! transaction: a file with an error changes nothing.
//!
//! A new setting is a row in the table and a field of [`settings`]. A command that does
//! something else is a row, a [`control::parse::Command`] and its arm in
//! [`control::commands`].
//!
//! # The rooms
//!
//! Each uses those above it, and none below it (the test `rooms` says who does).
//!
//! | room | what is there |
//! |---|---|
//! | [`sys`] | The machine: system calls (all `unsafe` code is in `sys/calls.rs`), addresses and names, files, processes, users, messages. |
//! | [`getopt`] | The options of all five programs, told from operands. |
//! | [`proxy_protocol`] | The PROXY protocol: headers that name a client. No I/O. |
//! | [`logs`], [`penctl`] | The programs `penlog`, `penlogd`, `mergelogs` and `penctl`. |
//! | [`pool`] | Which server: access lists, the client table, the server table, their health, the choice. No I/O. |
//! | [`settings`] | What can be set, with defaults and units. |
//! | [`http`] | X-Forwarded-For in a stream of requests. No I/O. |
//! | [`access`] | Who may control pen from the web interface: password and token. |
//! | [`proxy`], [`udp`] | Connections from accept to close; datagrams. |
//! | [`report`] | What is known at a moment, and the texts that scripts read. |
//! | [`control`] | Commands, configuration files, the control port. |
//! | [`web`] | The web interface. |
//! | [`options`] | The command line. |
//! | [`start`] | The order of the start, signals, the end. |
//!
//! # Invariants
//!
//! * No lock is held across I/O that can wait, a name look-up or another thread's work.
//! * No two locks are held at once, so there is no lock order to get wrong, except for
//!   a [`pool::counter::Counter`], a lock where the processor has no 64-bit atomics: it
//!   is always the inner one. `make races` looks for violations (ThreadSanitizer).
//! * Settings and servers are under one lock. All that a command or a file changes takes
//!   effect in one step, and a server is chosen by the settings that belong to it.
//! * Counts (connections on a server, slots in use, checks) are changed by guards alone:
//!   [`proxy::search::Lease`], [`proxy::slots::Slot`].
//! * Nothing that a client, a server, a file or the network sends makes pen panic:
//!   clippy refuses `unwrap`, `expect` and indexing, and `make fuzz` looks for the rest.
//! * Threads are started after the fork and after the user is changed.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod access;
pub mod control;
pub mod getopt;
pub mod http;
pub mod logs;
pub mod options;
pub mod penctl;
pub mod pool;
pub mod proxy;
pub mod proxy_protocol;
pub(crate) mod report;
pub mod settings;
pub mod start;
pub mod sys;
pub(crate) mod udp;
pub mod web;

/// Locks. A thread that panicked while it held the lock ends the process in
/// release builds; in tests the data is still whole, as every critical section
/// here leaves it so at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
