//! The tests from outside: a real `pen`, real clients, real servers.
//!
//! One binary, one module for each behaviour. Every test starts the processes
//! it needs, on loopback addresses that no other test has, and ends them; see
//! [`stand`].
//!
//! `PEN_BIN_DIR=/usr/bin cargo test --test suite` runs the same tests against
//! the `pen` in that directory. Where ours does better than the C program, a
//! test names the difference ([`differences`]): it shows the C program do
//! worse, or leaves that out with a line that says so. `make compat` does both
//! runs and makes a table of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../stand/mod.rs"]
mod stand;

use stand::differences;

mod alone;
mod back_pressure;
mod background;
mod capacity;
mod changes;
mod check_kinds;
mod checks;
mod choice;
mod client_limits;
mod command_line;
mod completion;
mod configuration;
mod conn_log;
mod control_port;
mod dashboard;
mod dns;
mod draining;
mod endings;
mod examples;
mod expand;
mod explain;
mod failed_start;
mod failover;
mod hash_v6;
mod health_file;
mod hostile;
mod http_applications;
mod http_header;
mod idle_time;
mod installation;
mod limits;
mod live_changes;
mod log_file;
mod logs;
mod malformed;
mod many_ports;
mod mergelogs;
mod messages;
mod names;
mod option_table;
mod outcomes;
mod own_address;
mod own_ports;
mod penctl;
mod proxy_protocol;
mod proxy_servers;
mod relay;
mod reload;
mod reports;
mod resets;
mod resolve;
mod restart;
mod restarts;
mod rooms;
mod side_by_side;
mod socket_kinds;
mod spread;
mod state;
mod stopped;
mod tracking;
mod transcript;
mod transparent;
mod transports;
mod try_servers;
mod tutorial;
mod udp;
mod udp_choice;
mod udp_failover;
mod udp_flood;
mod udp_sockets;
mod users;
mod vanished;
mod web;
mod web_control;
mod web_flood;
mod web_requests;
mod web_servers;
mod web_sockets;
mod wild;
mod wild_udp;
