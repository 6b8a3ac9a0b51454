//! What checks cost: the rate of short connections beside them, and the processor
//! time of a pen that does nothing else.

use crate::peers::{Behind, Peer, Site, Who};
use crate::rows::Row;
use crate::work::{Found, cpu};
use std::thread;
use std::time::{Duration, Instant};

/// Servers, each of which is checked once a second.
pub(crate) const SERVERS: [u32; 2] = [50, 1000];

/// Short connections at the same time.
const AT_ONCE: u32 = 50;

/// Until all servers have been checked, and the checks are spread out.
const SETTLING: Duration = Duration::from_secs(3);

/// How long the processor time is looked at, which the system counts in steps of
/// 10 ms: 0.2 % of this.
const LOOKING: Duration = Duration::from_secs(5);

/// One of ours without checks and one with, for each number of servers.
pub(crate) struct Checks(Vec<(Peer, Peer, u32)>);

impl Checks {
    pub(crate) fn prepare(site: &Site) -> Result<Checks, String> {
        let pair = |count: u32| {
            let start = |options| site.start(Who::Ours, Behind::Many(count as usize), options);
            Ok((start(&["-r"])?, start(&["-r", "-O", "check 1"])?, count))
        };
        let checks = SERVERS.into_iter().map(pair).collect::<Result<_, String>>()?;
        thread::sleep(SETTLING);
        Ok(Checks(checks))
    }

    /// One round.
    pub(crate) fn round(&self, site: &Site) -> Vec<(Who, Found)> {
        let mut all = Vec::new();
        for (without, with, count) in &self.0 {
            let rate = |peer: &Peer, row| {
                let ab = site.ab(peer.address, AT_ONCE, None)?;
                Ok(vec![(row, ab.per_second)])
            };
            all.push((Who::Ours, rate(without, Row::Unchecked(*count))));
            all.push((Who::Ours, rate(with, Row::Checked(*count))));
            let (before, start) = (cpu(with), Instant::now());
            thread::sleep(LOOKING);
            let share = (cpu(with) - before) / start.elapsed().as_secs_f64();
            all.push((Who::Ours, Ok(vec![(Row::CheckCpu(*count), share * 100.0)])));
        }
        all
    }
}
