//! What commands do to the settings. Pure.

use crate::control::commands;
use crate::control::parse::{Command, Guard, Switch, Timer};
use crate::pool::acl::Acl;
use crate::settings::{ConnTarget, LogTarget, Settings};
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

/// Whether a command is about settings alone, so that [`set`] does it.
pub(super) fn is_setting(command: &Command) -> bool {
    use Command::*;
    matches!(
        command,
        AclAdd(..)
            | AclClear(_)
            | AclChoice(..)
            | ConnLog(_)
            | NoConnLog
            | Control
            | Debug(_)
            | Fastclose(_)
            | HashType(_)
            | Listen(_)
            | Log(_)
            | NoLog
            | Mode
            | Source(_)
            | Switch(..)
            | Timer(..)
            | UdpBalance(_)
            | Web(_)
            | NoWeb
            | WebPassword(_)
            | NoWebPassword
            | WebStats(_)
            | NoWebStats
    )
}

/// Changes or shows a setting: the reply.
pub(super) fn set(s: &mut Settings, command: &Command) -> String {
    match command {
        Command::AclAdd(list, entry) => {
            s.acls.get_mut(*list).into_iter().for_each(|acl| acl.add(*entry));
        }
        Command::AclClear(list) => {
            s.acls.get_mut(*list).into_iter().for_each(|acl| *acl = Acl::default());
        }
        Command::AclChoice(guard, choice) => {
            let field = match guard {
                Guard::Client => &mut s.client_acl,
                Guard::Control => &mut s.control_acl,
                Guard::Web => &mut s.web_acl,
            };
            return value(field, *choice);
        }
        Command::ConnLog(word) => {
            s.conn_log = word.as_deref().map(ConnTarget::parse).or(s.conn_log.take());
            return shown(s.conn_log.as_ref().map(ConnTarget::to_string));
        }
        Command::NoConnLog => s.conn_log = None,
        Command::Control => return shown(s.control.as_deref()),
        Command::Debug(level) => return value(&mut s.debug, *level),
        Command::Fastclose(mode) => s.fastclose = *mode,
        Command::HashType(new) => {
            s.modes.modulo = new.unwrap_or(s.modes.modulo);
            return shown(Some(commands::hash_type(&s.modes)));
        }
        Command::Listen(word) => {
            s.listen = word.clone().or(s.listen.take());
            return shown(s.listen.as_deref());
        }
        Command::Log(word) => {
            s.log = word.as_deref().map(LogTarget::parse).or(s.log.take());
            return shown(s.log.as_ref().map(LogTarget::to_string));
        }
        Command::NoLog => s.log = None,
        Command::Mode => return commands::mode(s),
        Command::Source(ip) => s.source = *ip,
        Command::Switch(switch, on) => *flag(s, *switch) = *on,
        Command::Timer(timer, seconds) => return time(s, *timer, *seconds),
        Command::UdpBalance(new) => {
            s.modes.datagrams = new.unwrap_or(s.modes.datagrams);
            return shown(Some(commands::udp_balance(&s.modes)));
        }
        Command::Web(word) => {
            s.web = word.clone().or(s.web.take());
            return shown(s.web.as_deref());
        }
        Command::NoWeb => s.web = None,
        Command::WebPassword(file) => {
            // Only shown if it is asked for.
            let reply = file.is_none().then(|| path(s.web_password.as_deref()));
            s.web_password = file.clone().or(s.web_password.take());
            return reply.unwrap_or_default();
        }
        Command::NoWebPassword => s.web_password = None,
        Command::WebStats(file) => {
            s.web_stats = file.clone().or(s.web_stats.take());
            return path(s.web_stats.as_deref());
        }
        Command::NoWebStats => s.web_stats = None,
        // See is_setting.
        _ => {}
    }
    String::new()
}

/// A value on a line of its own, or nothing at all.
fn shown(value: Option<impl AsRef<str>>) -> String {
    value.map_or(String::new(), |value| format!("{}\n", value.as_ref()))
}

fn path(value: Option<&Path>) -> String {
    shown(value.map(|path| path.display().to_string()))
}

/// Sets a value if one is given, and shows it.
fn value<T: Copy + Display>(field: &mut T, new: Option<T>) -> String {
    *field = new.unwrap_or(*field);
    format!("{field}\n")
}

fn time(s: &mut Settings, timer: Timer, seconds: Option<u64>) -> String {
    let field = match timer {
        Timer::Blacklist => &mut s.blacklist,
        Timer::Timeout => &mut s.timeout,
        Timer::Tracking => &mut s.tracking,
        Timer::IdleTimeout => &mut s.idle_timeout,
        Timer::HalfClosedTimeout => &mut s.half_closed_timeout,
        Timer::ClientKeepalive => &mut s.client_keepalive,
    };
    seconds.into_iter().for_each(|n| *field = Duration::from_secs(n));
    let now = field.as_secs();
    match timer {
        Timer::IdleTimeout => format!("Idle timeout: {now} seconds\n"),
        _ => format!("{now}\n"),
    }
}

fn flag(s: &mut Settings, switch: Switch) -> &mut bool {
    match switch {
        Switch::Ascii => &mut s.ascii,
        Switch::Dummy => &mut s.dummy,
        Switch::Hash => &mut s.modes.hash,
        Switch::Http => &mut s.http,
        Switch::Keepalive => &mut s.keepalive,
        Switch::Prio => &mut s.modes.prio,
        Switch::Roundrobin => &mut s.modes.roundrobin,
        Switch::Stubborn => &mut s.modes.stubborn,
        Switch::TcpNodelay => &mut s.nodelay,
        Switch::Transparent => &mut s.transparent,
        Switch::Weight => &mut s.modes.weight,
    }
}
