//! How a server is asked whether it works.

use crate::proxy::connect;
use crate::settings::Settings;
use crate::sys::addr::Host;

/// Checks the server at this host and port. Fails with the reason.
pub(super) fn run(settings: &Settings, host: &Host, port: u16) -> Result<(), String> {
    match connect::open(host, port, settings, None, settings.check_timeout) {
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}
