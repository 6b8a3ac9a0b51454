//! Which server: the server table, the choice, the client table, access lists.
//! There is no I/O here, and callers say what time it is.

pub mod acl;
pub mod answers;
pub mod choice;
pub mod clients;
pub mod counter;
pub(crate) mod expand;
pub mod health;
pub mod prefix;
pub mod request;
pub mod server;
