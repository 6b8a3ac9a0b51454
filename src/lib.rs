//! pen, a load balancer for "simple" protocols such as HTTP or SMTP.
//!
//! # The way of a connection
//!
//! 1. [`proxy::accept`] takes a slot and two threads of [`proxy::workers`] (clients
//!    wait in the kernel while these are not to be had), and accepts a client on
//!    the [`proxy::listener`].
//! 2. [`proxy::find`] asks the client table ([`pool::clients`]) which server
//!    the client was on, and the [`proxy::search::Search`] for the candidates: that
//!    server, then those that [`pool::choice`] names.
//! 3. [`proxy::connect`] connects to the first one that answers. A failure
//!    blacklists a server.
//! 4. [`proxy::relay`] copies, each direction on a thread of its own, until both
//!    have ended.
//! 5. Sockets, the place on the server and the slot are given back when the
//!    [`proxy::connection::Connection`] is dropped, whichever thread is last and
//!    whatever happened.
//!
//! With `-U` [`udp`] receives all clients' datagrams on one thread. What one
//! client's port sends is a flow: a connection like the others,
//! with one thread, which passes on the server's answers.
//!
//! # The way of a command
//!
//! [`control::port`], the web interface, `-O` and configuration files
//! ([`control::config`]) hand over lines. [`control::parse`] makes a command of a
//! line by the one table, [`control::table`]; [`control::transaction`] carries out
//! what changes settings and servers, in one step; [`control::commands`] what
//! shows or does something else.
//!
//! # The rooms
//!
//! Each uses those above it, and nothing below.
//!
//! | room | what is there |
//! |---|---|
//! | [`sys`] | The machine: system calls (all `unsafe` code is in `sys.rs`), addresses and names, files, processes, users, messages. |
//! | [`getopt`] | Options told from operands, for all five programs. |
//! | [`logs`] | The programs `penlog`, `penlogd` and `mergelogs`. |
//! | [`pool`] | Which server: access lists, the client table, the server table, the choice. No I/O. |
//! | [`settings`] | What can be set, with defaults and units. |
//! | [`access`] | Who may control pen from the web interface: password and token. |
//! | [`http`] | X-Forwarded-For in a stream of requests. No I/O. |
//! | [`proxy`], [`udp`] | Connections from accept to close; datagrams. |
//! | [`report`] | What is known at a moment, and the texts that scripts read. |
//! | [`control`] | Commands, configuration files, the control port. |
//! | [`web`] | The web interface. |
//! | [`options`] | The command line. |
//! | [`start`] | The order of the start, signals, the end. |
//! | [`penctl`] | The program `penctl`. |
//!
//! # Invariants
//!
//! * No lock is held across I/O, a name look-up or another thread's work.
//! * No two locks are held at once, so there is no lock order to get wrong.
//! * Settings and servers are under one lock: what a command or a file changes
//!   changes in one step ([`control::transaction`]), and a server is chosen by the
//!   settings that belong to it.
//! * Counts (connections on a server, slots in use) are changed by guards alone:
//!   [`proxy::search::Lease`], [`proxy::slots::Slot`].
//! * Nothing that a client, a server, a file or the network sends can panic.
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
