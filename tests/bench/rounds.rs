//! A run under way: who was started for which work, and round after round of
//! all works.

use crate::bulk::{self, Way};
use crate::checks::Checks;

use crate::growth::Growth;
use crate::many_clients;
use crate::memory;
use crate::peers::{Behind, FAIL_OVER, IN_TURN, Peer, Site, Who};
use crate::rows::Row;
use crate::table::Figures;
use crate::web_load;
use crate::work::{self, Found};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// When memory is looked at again after the load has gone.
const MINUTE: Duration = Duration::from_secs(60);

/// Between two works, for the kernel to be done with the connections.
const PAUSE: Duration = Duration::from_millis(150);

/// The peers and what was found so far.
pub(crate) struct Bench {
    /// In front of the two back ends.
    peers: Vec<Peer>,
    /// In front of the one that takes uploads.
    uploads: Vec<Peer>,
    /// With a third server that is down.
    crippled: Vec<Peer>,
    /// Both pens with a large table full of clients, and ours with one client.
    tables: Vec<(Peer, Row)>,
    /// Ours with a web interface, and where that is.
    web: Option<(Peer, SocketAddr)>,
    checks: Option<Checks>,
    growth: Option<Growth>,
    /// Those that had idle connections, and since when they are gone.
    rested: Vec<(Peer, Instant)>,
    pub(crate) figures: Figures,
    pub(crate) notes: Vec<String>,
    pub(crate) ours_is_well: bool,
    // Last, as the peers are to end first.
    pub(crate) site: Site,
}

impl Bench {
    /// Starts what these works need.
    pub(crate) fn new(site: Site, works: &[&str]) -> Result<Bench, String> {
        let mut bench = Bench {
            peers: Vec::new(),
            uploads: Vec::new(),
            crippled: Vec::new(),
            tables: Vec::new(),
            web: None,
            checks: None,
            growth: None,
            rested: Vec::new(),
            figures: Figures::default(),
            notes: Vec::new(),
            ours_is_well: true,
            site,
        };
        bench.peers = bench.all(Behind::Web)?;
        for work in works {
            match *work {
                "bulk" => {
                    bench.site.add_sink()?;
                    bench.uploads = bench.all(Behind::Sink)?;
                }
                "down" => bench.crippled = bench.all(Behind::OneDown)?,
                "udp" => bench.site.add_echoes()?,
                "table" => bench.fill_tables()?,
                "web" => bench.web = Some(web_load::start(&bench.site)?),
                "memory" => bench.count_idle(),
                "checks" => bench.checks = Some(Checks::prepare(&bench.site)?),
                "growth" => bench.growth = Some(Growth::prepare(&bench.site)?),
                _ => {}
            }
        }
        Ok(bench)
    }

    /// All that there are in front of these servers.
    fn all(&self, behind: Behind) -> Result<Vec<Peer>, String> {
        let mut present = self.site.present();
        let mut options = IN_TURN;
        if behind == Behind::OneDown {
            present.retain(|who| !matches!(who, Who::Socat | Who::Direct)); // know one server
            options = FAIL_OVER;
        }
        let start = |who| self.site.start(who, behind, options);
        present.into_iter().map(start).collect()
    }

    fn fill_tables(&mut self) -> Result<(), String> {
        let present = self.site.present();
        for who in [Who::Ours, Who::CPen] {
            if !present.contains(&who) {
                continue;
            }
            match many_clients::filled(&self.site, who, many_clients::CLIENTS) {
                Ok((peer, served)) => {
                    self.notes.push(format!(
                        "many clients: for {} {}, which took {:.1} s, before the first round",
                        who.name(),
                        served.seen,
                        served.seconds
                    ));
                    self.tables.push((peer, Row::TableRate));
                }
                Err(why) => self.failed("table", who, &why),
            }
        }
        let peer = self.site.start(Who::Ours, Behind::Web, many_clients::LARGE_TABLE)?;
        self.tables.push((peer, Row::TableEmpty));
        Ok(())
    }

    fn count_idle(&mut self) {
        for who in [Who::Ours, Who::Socat] {
            let count = memory::count(&self.site, who);
            let note = match who {
                Who::Ours => format!("memory: {count} idle connections, as open files allow"),
                _ => format!("memory: {count} through socat, which starts as many processes"),
            };
            self.notes.push(note);
        }
    }

    /// One work of one round, by all peers in turn.
    pub(crate) fn work(&mut self, work: &str, round: u32) {
        let site = &self.site;
        let all = match work {
            "short" => each(&self.peers, |peer| work::short(site, peer)),
            "keep" => each(&self.peers, |peer| work::keep(site, peer)),
            "bulk" => {
                let mut all = each(&self.peers, |peer| bulk::bulk(peer, Way::Down));
                all.extend(each(&self.uploads, |peer| bulk::bulk(peer, Way::Up)));
                all
            }
            "delay" => each(&self.peers, bulk::delay),
            "down" => each(&self.crippled, |peer| work::down(site, peer)),
            "table" => self.tables(round),
            "udp" => each_of(site, &[Who::HaProxy, Who::Socat], |who| work::udp(site, who)),
            "web" => {
                let web = self.web.iter();
                web.map(|(peer, web)| (peer.who, web_load::look_at(site, peer, *web))).collect()
            }
            "memory" => {
                let mut rested = Vec::new();
                let all = each_of(site, &[Who::Direct], |who| {
                    let (found, peer) = memory::memory(site, who)?;
                    rested.push((peer, Instant::now()));
                    Ok(found)
                });
                if self.rested.is_empty() {
                    self.rested = rested;
                }
                all
            }
            "checks" => {
                let checks = self.checks.as_ref();
                checks.map_or_else(Vec::new, |checks| checks.round(site))
            }
            "start" => each_of(site, &[Who::Direct], |who| work::start(site, who)),
            _ => {
                let growth = self.growth.as_ref();
                growth.map_or_else(Vec::new, |growth| growth.round(site))
            }
        };
        for (who, found) in all {
            match found {
                Ok(found) => {
                    for (row, value) in found {
                        self.figures.add(row, who, value);
                    }
                }
                Err(why) => self.failed(work, who, &why),
            }
        }
    }

    /// Many clients.
    fn tables(&self, round: u32) -> Vec<(Who, Found)> {
        let mut all = Vec::new();
        for (peer, row) in &self.tables {
            all.push((peer.who, many_clients::late(&self.site, peer, *row)));
            thread::sleep(PAUSE);
        }
        let full = self.tables.iter().filter(|(_, row)| *row == Row::TableRate);
        // The pens without a large table do not take part.
        let others = self.peers.iter();
        let others = others.filter(|peer| !matches!(peer.who, Who::Ours | Who::CPen));
        for peer in full.map(|(peer, _)| peer).chain(others) {
            all.push((peer.who, many_clients::strangers(peer, round)));
            thread::sleep(PAUSE);
        }
        all
    }

    /// The memory of those that had idle connections, a minute after them.
    pub(crate) fn look_again(&mut self) {
        for (peer, since) in &self.rested {
            let left = MINUTE.saturating_sub(since.elapsed());
            if left > Duration::from_secs(1) {
                eprintln!("waiting {} s to see what memory comes back", left.as_secs());
            }
            thread::sleep(left);
            let rss = memory::rss(peer) / 1024.0;
            self.figures.add(Row::MemoryAfter, peer.who, rss);
        }
    }

    fn failed(&mut self, work: &str, who: Who, why: &str) {
        let note = format!("{work}: {}: {why}", who.name());
        eprintln!("{note}");
        self.ours_is_well &= who != Who::Ours;
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// What each of these finds.
fn each(peers: &[Peer], mut one: impl FnMut(&Peer) -> Found) -> Vec<(Who, Found)> {
    let one = |peer: &Peer| {
        let found = (peer.who, one(peer));
        thread::sleep(PAUSE);
        found
    };
    peers.iter().map(one).collect()
}

/// The same for those that are started for it, but for some that are not.
fn each_of(site: &Site, without: &[Who], mut one: impl FnMut(Who) -> Found) -> Vec<(Who, Found)> {
    let mut present = site.present();
    present.retain(|who| !without.contains(who));
    let one = |who| {
        let found = (who, one(who));
        thread::sleep(PAUSE);
        found
    };
    present.into_iter().map(one).collect()
}
