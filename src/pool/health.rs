//! Whether a server is up, how that is known, and what an operator wants of it.
//! Pure: the caller has the lock and the clock.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The reason why a server is down that an operator has taken out.
pub const BY_COMMAND: &str = "by command";

/// What an operator wants of a server, until it is changed (`server N state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admin {
    /// It serves as well as it can.
    #[default]
    Ready,
    /// Clients whose server it is keep coming, and no others.
    Drain,
    /// It gets no clients.
    Maint,
    /// The same, and it counts as down.
    Down,
}

impl Admin {
    /// All there are.
    pub(crate) const ALL: [Admin; 4] = [Admin::Ready, Admin::Drain, Admin::Maint, Admin::Down];

    /// The word for it in commands.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Admin::Ready => "ready",
            Admin::Drain => "drain",
            Admin::Maint => "maint",
            Admin::Down => "down",
        }
    }
}

/// What a server is good for at a moment. The first that fits is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The slot has no address or no port.
    Empty,
    /// An operator has taken it out.
    Maint,
    /// It failed and is left alone, or an operator has said so.
    Down,
    /// It takes no new clients: an operator has said so, or has blacklisted it.
    Drained,
    /// It failed, the blacklist time is over, and the next client tries it.
    Failing,
    /// Nothing has been seen of it yet.
    Untried,
    /// It is up and at its soft limit.
    Full,
    /// It is up and takes new clients.
    Up,
}

impl State {
    /// All there are.
    pub(crate) const ALL: [State; 8] = [
        State::Empty,
        State::Maint,
        State::Down,
        State::Drained,
        State::Failing,
        State::Untried,
        State::Full,
        State::Up,
    ];

    /// The word for it in reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Empty => "empty",
            State::Maint => "maint",
            State::Down => "down",
            State::Drained => "drained",
            State::Failing => "failing",
            State::Untried => "untried",
            State::Full => "full",
            State::Up => "up",
        }
    }

    /// Whether the server has been seen to work and may be used.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, State::Up | State::Full)
    }

    /// Whether the server has failed, and has not been seen to work since.
    pub(crate) fn is_down(self) -> bool {
        matches!(self, State::Down | State::Failing)
    }
}

/// How many checks in a row change what is thought of a server.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Successes that bring it back.
    pub rise: u32,
    /// Failures that take it out.
    pub fall: u32,
}

/// What was seen of a server last, and since when.
#[derive(Clone, Copy, Debug)]
struct Seen {
    up: bool,
    since: Instant,
}

/// The result of a check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// When it ended.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// Why it failed; empty if it did not.
    pub why: Arc<str>,
}

/// What is known of a server, and wanted of it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// What an operator wants of it.
    admin: Admin,
    admin_since: Option<Instant>,
    /// Why it is drained, if no operator has said so.
    leaving: Option<Arc<str>>,
    /// Until when it is left alone. The time stays here after that, until a connect
    /// succeeds.
    blacklisted: Option<Instant>,
    /// Whether a command has blacklisted it, and not a failure.
    drained: bool,
    /// After the blacklist time one client tries whether it is back, and the others
    /// pass it by until this time, when the result is known at the latest.
    probed_until: Option<Instant>,
    /// Whether it is down until checks bring it back.
    held: bool,
    seen: Option<Seen>,
    /// When it came back last after it had been down or taken out.
    back: Option<Instant>,
    /// Why it failed last.
    reason: Arc<str>,
    /// Checks in a row that contradict what was seen before.
    streak: u32,
    /// The last check.
    pub checked: Option<Checked>,
    /// When the next one is due; `None` is now.
    pub check_due: Option<Instant>,
    /// Belongs to the check under way, if its other end still exists.
    check: Weak<()>,
    /// How often it went down.
    pub downs: u64,
    downtime: Duration,
}

impl Health {
    /// What an operator wants of it.
    pub(crate) fn admin(&self) -> Admin {
        self.admin
    }

    /// Tells what it is good for now, as far as its limits do not matter.
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.admin {
            Admin::Maint => return State::Maint,
            Admin::Down => return State::Down,
            Admin::Drain => return State::Drained,
            Admin::Ready => {}
        }
        match (self.blacklist_left(now).is_zero(), self.seen) {
            (false, _) if self.drained => State::Drained,
            (false, _) => State::Down,
            _ if self.held => State::Down,
            _ if self.is_suspect() => State::Failing,
            (true, None) => State::Untried,
            (true, Some(seen)) if seen.up => State::Up,
            (true, Some(_)) => State::Failing,
        }
    }

    /// How long it has been up, down or as an operator wants it; `None` before anything
    /// was seen of it.
    pub(crate) fn since(&self, now: Instant) -> Option<Duration> {
        let seen = || self.seen.map(|seen| seen.since);
        let since = self.admin_since.filter(|_| self.admin != Admin::Ready).or_else(seen);
        since.map(|since| now.saturating_duration_since(since))
    }

    /// The share of its clients that it may get, as it came back lately: from 0 to
    /// [`u32::MAX`], which is all of them, in the time of `slow_start`.
    pub(crate) fn share(&self, slow_start: Duration, now: Instant) -> u32 {
        let Some(back) = self.back else { return u32::MAX };
        let past = now.saturating_duration_since(back).as_millis();
        let share = (past * u128::from(u32::MAX)).checked_div(slow_start.as_millis());
        share.and_then(|share| u32::try_from(share).ok()).unwrap_or(u32::MAX)
    }

    /// Why it is down or drained, or went down last; empty if it never failed.
    pub(crate) fn reason(&self) -> Arc<str> {
        match self.admin {
            Admin::Ready if self.drained => "blacklisted by command".into(),
            Admin::Ready => Arc::clone(&self.reason),
            _ => self.leaving.clone().unwrap_or_else(|| BY_COMMAND.into()),
        }
    }

    /// How long it has been down in all.
    pub(crate) fn downtime(&self, now: Instant) -> Duration {
        let down = self.seen.filter(|seen| !seen.up);
        let current = down.map(|seen| now.saturating_duration_since(seen.since));
        self.downtime.saturating_add(current.unwrap_or_default())
    }

    /// Whether it may be connected to: it is not blacklisted, and no checks have
    /// found it down.
    fn is_open(&self, now: Instant) -> bool {
        !self.held && self.blacklist_left(now).is_zero()
    }

    /// Whether it may get this client, which was there last (`is_back`) or was not.
    pub(crate) fn takes(&self, is_back: bool, now: Instant) -> bool {
        match self.admin {
            Admin::Ready => self.is_open(now),
            Admin::Drain => is_back && self.is_open(now),
            Admin::Maint | Admin::Down => false,
        }
    }

    /// How much longer it is blacklisted.
    pub(crate) fn blacklist_left(&self, now: Instant) -> Duration {
        self.blacklisted.map_or(Duration::ZERO, |end| end.saturating_duration_since(now))
    }

    /// Whether an operator has taken it out for now.
    pub(crate) fn is_taken_out(&self, now: Instant) -> bool {
        self.admin != Admin::Ready || self.drained && !self.blacklist_left(now).is_zero()
    }

    /// Whether it has failed, and no connect has succeeded since.
    pub(crate) fn is_suspect(&self) -> bool {
        self.blacklisted.is_some() && !self.drained
    }

    /// Whether the last thing that was seen of it was that it works.
    pub(crate) fn is_seen_up(&self) -> bool {
        self.blacklisted.is_none() && self.seen.is_some_and(|seen| seen.up)
    }

    /// Whether a client is trying now whether it is back.
    pub(crate) fn is_probed(&self, now: Instant) -> bool {
        self.is_suspect() && self.probed_until.is_some_and(|end| end > now)
    }

    /// Until when it was left alone, if no connect has succeeded since.
    pub(crate) fn blacklisted(&self) -> Option<Instant> {
        self.blacklisted
    }

    /// Makes the caller's next connect the one that shows whether the server is back.
    /// Returns when that is known at the latest, which is `most` from now; `None` if
    /// there is nothing to show, or another client's connect shows it or has shown
    /// nothing in its time.
    pub(crate) fn probe(&mut self, most: Duration, now: Instant) -> Option<Instant> {
        if !self.is_suspect() || !self.is_open(now) || self.probed_until.is_some() {
            return None;
        }
        self.probed_until = now.checked_add(most);
        self.probed_until
    }

    /// Lets the next client try, as the connect of a [`Health::probe`] has shown
    /// nothing, neither success nor failure.
    pub(crate) fn give_up_probe(&mut self, probe: Instant, now: Instant) {
        if self.probed_until == Some(probe) && probe > now {
            self.probed_until = None;
        }
    }

    /// Takes note that it has failed, and leaves it alone for `time`; if it `is_checked`,
    /// until checks bring it back.
    pub(crate) fn fail(&mut self, time: Duration, is_checked: bool, why: &str, now: Instant) {
        self.note(false, why, now);
        if let Some(end) = now.checked_add(if is_checked { Duration::ZERO } else { time }) {
            self.leave_alone(end, false);
        }
        self.held = is_checked;
        self.streak = 0;
    }

    /// Takes note of what was seen of it, and blacklists nothing.
    pub(crate) fn note(&mut self, up: bool, why: &str, now: Instant) {
        if !up {
            self.reason = why.into();
        }
        if self.seen.is_some_and(|seen| seen.up == up) {
            return;
        }
        if up && self.seen.is_some() {
            self.back = Some(now);
        }
        self.downtime = self.downtime(now);
        self.downs += u64::from(!up);
        self.seen = Some(Seen { up, since: now });
    }

    /// Takes note that it has answered. Only checks bring back what checks have taken
    /// out.
    pub(crate) fn succeed(&mut self, now: Instant) {
        if self.held {
            return;
        }
        self.note(true, "", now);
        if !self.drained || self.blacklist_left(now).is_zero() {
            self.blacklisted = None;
            self.probed_until = None;
        }
    }

    /// Takes note of a check: `rise` successes in a row bring the server back, `fall`
    /// failures take it out. The first check of a server decides alone.
    pub(crate) fn check(&mut self, checked: Checked, rules: Rules, now: Instant) {
        let up = checked.why.is_empty();
        let why = Arc::clone(&checked.why);
        self.checked = Some(checked);
        let needed = match self.seen {
            Some(seen) if seen.up == up => {
                self.streak = 0;
                // A client has found out before: from now on checks know better.
                self.held = !up;
                if !up {
                    self.reason = why;
                }
                return;
            }
            None => 1,
            Some(_) if up => rules.rise,
            Some(_) => rules.fall,
        };
        self.streak = self.streak.saturating_add(1);
        if self.streak < needed {
            return;
        }
        self.streak = 0;
        match up {
            true => {
                self.held = false;
                self.succeed(now);
            }
            // An operator who has blacklisted it knows better.
            false if self.is_taken_out(now) => {
                self.note(false, &why, now);
                self.held = true;
            }
            false => self.fail(Duration::ZERO, true, &why, now),
        }
    }

    /// Whether checks have begun to contradict what was seen before.
    pub(crate) fn is_changing(&self) -> bool {
        self.streak > 0
    }

    /// Begins a check. It is under way until the caller drops what this returns.
    pub(crate) fn begin_check(&mut self) -> Arc<()> {
        let token = Arc::new(());
        self.check = Arc::downgrade(&token);
        token
    }

    /// Whether a check is under way.
    pub(crate) fn is_checking(&self) -> bool {
        self.check.strong_count() > 0
    }

    /// Whether this check is the one under way. It is not, if the server has moved
    /// since it began.
    pub(crate) fn is_check(&self, token: &Arc<()>) -> bool {
        self.check.as_ptr() == Arc::as_ptr(token)
    }

    /// Begins checks anew, with this time between two of them. If that is 0, as there
    /// are no checks any more, clients try a server that is down.
    pub(crate) fn restart_checks(&mut self, check: Duration) {
        self.held &= !check.is_zero();
        self.streak = 0;
        self.check_due = None;
    }

    /// Does what an operator wants from now on.
    pub(crate) fn set_admin(&mut self, admin: Admin, now: Instant) {
        if admin == Admin::Ready && self.admin != Admin::Ready {
            self.back = Some(now);
        }
        if admin != self.admin {
            self.admin_since = Some(now);
        }
        self.admin = admin;
        self.leaving = None;
    }

    /// Drains it for this reason, until [`Health::set_admin`].
    pub(crate) fn leave(&mut self, why: &str, now: Instant) {
        self.set_admin(Admin::Drain, now);
        self.leaving = Some(why.into());
    }

    /// Whether it is drained, and no operator has said so.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Blacklists it until this time by command.
    pub(crate) fn drain_until(&mut self, end: Instant) {
        self.leave_alone(end, true);
    }

    fn leave_alone(&mut self, end: Instant, drained: bool) {
        self.blacklisted = Some(end);
        self.drained = drained;
        self.probed_until = None;
    }

    /// Makes it available by command. A server that has failed still counts as
    /// suspect until a connect succeeds.
    pub(crate) fn end_blacklist(&mut self, now: Instant) {
        self.blacklisted = self.blacklisted.filter(|_| !self.drained).map(|_| now);
        self.drained = false;
        self.probed_until = None;
    }

    /// Forgets what was seen, as the server is another one now.
    pub(crate) fn forget(&mut self) {
        *self = Health {
            admin: self.admin,
            admin_since: self.admin_since,
            leaving: self.leaving.clone(),
            blacklisted: self.blacklisted.filter(|_| self.drained),
            drained: self.drained,
            ..Health::default()
        };
    }
}

/// A server has another state than before.
#[derive(Debug)]
pub struct Change {
    /// Its state before that.
    pub from: State,
    /// Its state now.
    pub to: State,
    /// Why.
    pub reason: Arc<str>,
}

#[cfg(test)]
mod tests;
