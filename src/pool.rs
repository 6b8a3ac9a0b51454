//! Which server: the server table, the choice, the client table, access lists.
//! Pure: no I/O, and the caller has the clock.

pub mod acl;
pub mod choice;
pub mod clients;
pub mod counter;
pub mod request;
pub mod server;
