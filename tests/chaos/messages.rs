//! Whoever reads pen's messages hangs: nobody reads standard error, or the
//! system log. Each connection is worth two messages here, a stranger and a
//! server that fails one more.

use crate::row::{Extent, Found, Outcome, Row, Scene, Window};
use crate::server::Server;
use crate::stand::{Client, Host, Starter, SystemLog, wait_until};
use crate::talk::{Failure, converse};
use crate::traffic::{Traffic, USUAL};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 2] = [
    Row { name: "stderr-hangs", fault: "standard error that nobody reads", run: stderr_hangs },
    Row { name: "syslog-hangs", fault: "system log that nobody reads", run: syslog_hangs },
];

/// How long an end, or a stranger's, may take.
const PROMPT: Duration = Duration::from_secs(5);

const FROM: Ipv4Addr = Ipv4Addr::new(127, 42, 0, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 43, 0, 1);
const WORDS: [&str; 5] = ["-r", "-O", "acl 1 deny 127.43.0.0/16", "-O", "client_acl 1"];

/// At a time.
const CLIENTS: usize = 12;

/// So many clients talk, and as many strangers come. What came of the talks,
/// and how many strangers were let in or kept waiting.
fn come(to: SocketAddr, count: usize) -> (Vec<Result<(), Failure>>, usize) {
    let life = |client: usize| {
        let (mut talks, mut strangers) = (Vec::new(), 0);
        for number in (client..count).step_by(CLIENTS) {
            talks.push(converse(FROM, to, number as u16, |talk| {
                talk.ask_echo()?;
                talk.exchange(1000)?;
                talk.end_sending()?;
                talk.finish()
            }));
            let turned_away = converse(STRANGER, to, 0, |_| Ok(()));
            let well = turned_away.is_err_and(|failure| failure.ended - failure.begun < PROMPT);
            strangers += usize::from(!well);
        }
        (talks, strangers)
    };
    thread::scope(|scope| {
        let life = &life;
        let clients = 0..CLIENTS.min(count);
        let threads: Vec<_> = clients.map(|client| scope.spawn(move || life(client))).collect();
        let mut all = (Vec::new(), 0);
        for thread in threads {
            let (talks, strangers) = thread.join().unwrap();
            all.0.extend(talks);
            all.1 += strangers;
        }
        all
    })
}

fn judge(outcome: &mut Outcome, strangers: usize, ending: Duration) {
    outcome.demand(strangers == 0, || format!("{strangers} strangers let in or kept waiting"));
    outcome.demand(ending < PROMPT, || format!("pen took {ending:?} to end"));
}

/// Forced: what was on the server when it was killed.
fn stderr_hangs(extent: &Extent) -> Found {
    let mut scene = Scene::new(USUAL, |starter, _| starter.args(WORDS).args(["-d"]).expect(""));
    let to = scene.pen.at.inet();
    scene.pen.leave_unread(true);
    let window = scene.kill(0);
    let (talks, strangers) = come(to, extent.times(1500, 300));
    scene.other_talks(talks);
    scene.servers[0].start();
    scene.recover_from(Instant::now());
    let (mut outcome, ending) = scene.end_timed(|failure| window.may_be_with(failure));
    judge(&mut outcome, strangers, ending);
    Ok(outcome)
}

/// Forced: the same.
fn syslog_hangs(extent: &Extent) -> Found {
    let log = SystemLog::new().ok_or("needs root")?;
    let host = Host::new();
    let mut servers = Server::three(&host);
    let control = host.at();
    let starter = Starter::on(&host).args(WORDS).servers(&servers);
    let pen = log.start(starter.control_at(control.clone()));
    Client::new(&control).send("debug 1\n");
    let traffic = Traffic::start(pen.at.inet(), USUAL);
    let (from, in_flight) = (Instant::now(), traffic.open());
    servers[0].kill();
    let window = Window { from, to: Instant::now(), server: Some(0) };
    let (talks, strangers) = come(pen.at.inet(), extent.times(1500, 300));
    servers[0].start();
    traffic.watch(Instant::now());
    let recovery = traffic.recovery();
    let mut report = traffic.stop();
    report.add(talks);
    let mut outcome = Outcome { times: 1, in_flight, recovery, ..Outcome::default() };
    outcome.count(&report, |failure| window.may_be_with(failure));
    let told = Instant::now();
    pen.signal("TERM");
    wait_until("pen ends", || !pen.is_running());
    judge(&mut outcome, strangers, told.elapsed());
    Ok(outcome)
}
