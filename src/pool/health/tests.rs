//! What is known of a server after what was seen of it.

use super::*;

const RULES: Rules = Rules { rise: 2, fall: 3 };

fn check(health: &mut Health, why: &str, now: Instant) -> State {
    health.check(Checked { at: now, took: Duration::ZERO, why: why.into() }, RULES, now);
    health.state(now)
}

#[test]
fn clients_find_out() {
    let (mut health, now) = (Health::default(), Instant::now());
    let later = |seconds| now + Duration::from_secs(seconds);
    let half = |health: &Health, at| health.share(Duration::from_secs(10), later(at));
    assert_eq!(health.state(now), State::Untried);
    health.succeed(now);
    assert_eq!((health.state(now), half(&health, 1)), (State::Up, u32::MAX));
    health.fail(Duration::from_secs(30), false, "refused", later(10));
    assert_eq!((health.state(later(39)), &*health.reason()), (State::Down, "refused"));
    assert_eq!(health.state(later(40)), State::Failing);
    assert!(health.takes(false, later(40)));
    health.succeed(later(50));
    assert_eq!((health.state(later(50)), half(&health, 55)), (State::Up, u32::MAX / 2));
    assert_eq!((half(&health, 50), half(&health, 60)), (0, u32::MAX));
    let downtime = health.downtime(later(99)).as_secs();
    assert_eq!((health.downs, downtime, health.since(later(51)).unwrap().as_secs()), (1, 40, 1));
}

#[test]
fn checks_find_out() {
    let (mut health, now) = (Health::default(), Instant::now());
    // The first one decides.
    assert_eq!(check(&mut health, "refused", now), State::Down);
    assert!(!health.takes(true, now));
    assert_eq!(check(&mut health, "", now), State::Down);
    // Clients do not bring it back.
    health.succeed(now);
    assert_eq!(health.state(now), State::Down);
    assert_eq!(check(&mut health, "late", now), State::Down);
    assert_eq!(check(&mut health, "", now), State::Down);
    assert_eq!(check(&mut health, "", now), State::Up);
    for state in [State::Up, State::Up, State::Down] {
        assert_eq!(check(&mut health, "refused", now), state);
    }
    health.restart_checks(Duration::ZERO);
    assert_eq!(health.state(now), State::Failing);
    // A client's failure counts at once.
    let mut health = Health::default();
    assert_eq!(check(&mut health, "", now), State::Up);
    health.fail(Duration::from_secs(30), true, "refused", now);
    assert_eq!(health.state(now + Duration::from_secs(99)), State::Down);
}

#[test]
fn what_an_operator_has_blacklisted_stays_so() {
    let (mut health, now) = (Health::default(), Instant::now());
    check(&mut health, "", now);
    health.drain_until(now + Duration::from_secs(60));
    for why in ["refused", "refused", "refused", "", ""] {
        assert_eq!(check(&mut health, why, now), State::Drained);
    }
    assert_eq!(health.state(now + Duration::from_secs(60)), State::Up);
}

#[test]
fn operators_decide() {
    let (mut health, now) = (Health::default(), Instant::now());
    for (admin, back, new, state) in [
        (Admin::Ready, true, true, State::Untried),
        (Admin::Drain, true, false, State::Drained),
        (Admin::Maint, false, false, State::Maint),
        (Admin::Down, false, false, State::Down),
    ] {
        health.set_admin(admin, now);
        let takes = (health.takes(true, now), health.takes(false, now));
        assert_eq!((takes, health.state(now)), ((back, new), state));
    }
}
