//! What is measured: the rows of the table, in their order, and the targets
//! that the project has set itself.

use crate::bulk::STREAMS;
use crate::checks;
use crate::growth;
use crate::peers::Who;
use crate::table::grouped;
use crate::web_load::PAGES;
use crate::work::{CLIENTS, KEEP, SHORT};

/// One measure. The number is that of clients, connections or streams at the
/// same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    ShortRate(u32),
    ShortP99(u32),
    ShortCpu(u32),
    KeepRate(u32),
    KeepCpu(u32),
    DownRate(u32),
    DownCpu(u32),
    UpRate(u32),
    UpCpu(u32),
    DelayMedian,
    DelayP99,
    DelayRate,
    DownServerRate,
    DownServerP99,
    UdpRate(u32),
    UdpCpu(u32),
    UdpLost(u32),
    UdpStrayed(u32),
    TableRate,
    TableEmpty,
    Strangers,
    /// Nobody at the web interface, and many.
    Unseen,
    Seen,
    /// So many servers, not checked and checked.
    Unchecked(u32),
    Checked(u32),
    CheckCpu(u32),
    MemoryStart,
    MemoryBefore,
    MemoryQuiet,
    MemoryIdle,
    MemoryMachine,
    Answering,
    MemoryAfter,
    Start,
    /// Growth: the number is that of what there is more and more of.
    Beside(u32),
    Active(u32),
    Known(u32),
    InTurn(u32),
    ByWeight(u32),
}

/// What our figure is compared with.
pub(crate) enum Than {
    /// That peer's.
    Peer(Who),
    /// Ours in another row.
    Row(Row),
    /// Nothing: the bound is absolute.
    Bound,
}

/// A target: at least or at most so much of that.
pub(crate) struct Target(pub(crate) Than, pub(crate) Sense, pub(crate) f64);

/// Which way is better.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sense {
    AtLeast,
    AtMost,
}

use Sense::{AtLeast, AtMost};

impl Row {
    /// Those that are shown, in their order.
    pub(crate) fn all() -> Vec<Row> {
        let mut all = Vec::new();
        for n in SHORT {
            all.extend([Row::ShortRate(n), Row::ShortP99(n), Row::ShortCpu(n)]);
        }
        for n in KEEP {
            all.extend([Row::KeepRate(n), Row::KeepCpu(n)]);
        }
        for n in STREAMS {
            all.extend([Row::DownRate(n), Row::DownCpu(n)]);
        }
        for n in STREAMS {
            all.extend([Row::UpRate(n), Row::UpCpu(n)]);
        }
        all.extend([Row::DelayMedian, Row::DelayP99, Row::DelayRate]);
        all.extend([Row::DownServerRate, Row::DownServerP99]);
        for n in CLIENTS {
            all.extend([Row::UdpRate(n), Row::UdpCpu(n), Row::UdpLost(n)]);
        }
        all.extend(CLIENTS.last().map(|n| Row::UdpStrayed(*n)));
        all.extend([Row::TableRate, Row::TableEmpty, Row::Strangers]);
        all.extend([Row::Unseen, Row::Seen]);
        for n in checks::SERVERS {
            all.extend([Row::Unchecked(n), Row::Checked(n), Row::CheckCpu(n)]);
        }
        all.extend([Row::MemoryStart, Row::MemoryBefore, Row::MemoryQuiet]);
        all.extend([Row::MemoryIdle, Row::MemoryMachine, Row::Answering, Row::MemoryAfter]);
        all.push(Row::Start);
        all.extend(growth::rows());
        all
    }

    pub(crate) fn label(self) -> String {
        let many = |n: u32| grouped(n.into(), 0);
        match self {
            Row::ShortRate(n) => format!("short connections/s, {} at a time", many(n)),
            Row::ShortP99(_) => "  99 of 100 take at most, ms".to_owned(),
            Row::KeepRate(1) => "requests/s on 1 connection".to_owned(),
            Row::KeepRate(n) => format!("requests/s on {} connections", many(n)),
            Row::DownRate(1) => "bulk down, 1 stream, GB/s".to_owned(),
            Row::DownRate(n) => format!("bulk down, {n} streams, GB/s"),
            Row::UpRate(1) => "bulk up, 1 stream, GB/s".to_owned(),
            Row::UpRate(n) => format!("bulk up, {n} streams, GB/s"),
            Row::DownCpu(_) | Row::UpCpu(_) => "  processor seconds per GB".to_owned(),
            Row::DelayMedian => "small request beside 8 streams, ms".to_owned(),
            Row::DelayP99 => "  99 of 100 take at most, ms".to_owned(),
            Row::DelayRate => "  the streams meanwhile, GB/s".to_owned(),
            Row::DownServerRate => "short connections/s, 1 of 3 servers down".to_owned(),
            Row::DownServerP99 => "  99 of 100 take at most, ms".to_owned(),
            Row::UdpRate(1) => "UDP answers/s, 1 client".to_owned(),
            Row::UdpRate(n) => format!("UDP answers/s, {} clients at once", many(n)),
            Row::ShortCpu(_) | Row::KeepCpu(_) | Row::UdpCpu(_) => {
                "  processor time each, us".to_owned()
            }
            Row::UdpLost(_) => "  lost".to_owned(),
            Row::UdpStrayed(_) => "  came to the wrong client".to_owned(),
            Row::TableRate => "short connections/s, many clients seen".to_owned(),
            Row::TableEmpty => "  the same options, one client seen".to_owned(),
            Row::Strangers => "  each from a new address".to_owned(),
            Row::Unseen => "short connections/s, with --web".to_owned(),
            Row::Seen => format!("  {} pages open, slow readers, garbage", many(PAGES)),
            Row::Unchecked(n) => format!("short connections/s, {} servers", many(n)),
            Row::Checked(_) => "  each checked once a second".to_owned(),
            Row::CheckCpu(_) => "  processor time without clients, %".to_owned(),
            Row::MemoryStart => "memory after start, MiB".to_owned(),
            Row::MemoryBefore => "  before the idle connections, MiB".to_owned(),
            Row::MemoryQuiet => "  each that was never used, KiB more".to_owned(),
            Row::MemoryIdle => "  each after a request, KiB more".to_owned(),
            Row::MemoryMachine => "  the whole machine, KiB for each".to_owned(),
            Row::Answering => "  idle connections that still answer".to_owned(),
            Row::MemoryAfter => "  a minute after them, MiB".to_owned(),
            Row::Start => "start to first client served, ms".to_owned(),
            Row::Beside(n) => format!("short connections/s, {} open", many(n)),
            Row::Active(n) => format!("requests/s on {} connections", many(n)),
            Row::Known(n) => format!("short connections/s, {} clients", many(n)),
            Row::InTurn(n) => format!("short connections/s, {} servers", many(n)),
            Row::ByWeight(n) => format!("  by weight, {} servers", many(n)),
        }
    }

    pub(crate) fn digits(self) -> usize {
        match self {
            Row::DownRate(_) | Row::DownCpu(_) | Row::UpRate(_) | Row::UpCpu(_) => 2,
            Row::DelayMedian | Row::DelayRate => 2,
            Row::ShortP99(_) | Row::ShortCpu(_) | Row::KeepCpu(_) | Row::UdpCpu(_) => 1,
            Row::CheckCpu(_) => 1,
            Row::DelayP99 | Row::DownServerP99 | Row::Start => 1,
            Row::MemoryStart | Row::MemoryBefore | Row::MemoryQuiet => 1,
            Row::MemoryIdle | Row::MemoryAfter => 1,
            _ => 0,
        }
    }

    /// The targets.
    pub(crate) fn targets(self) -> Vec<Target> {
        let than = |who, sense, bound| Target(Than::Peer(who), sense, bound);
        let bound = |sense, bound| vec![Target(Than::Bound, sense, bound)];
        match self {
            Row::ShortRate(50) => vec![than(Who::CPen, AtLeast, 0.9)],
            Row::ShortP99(50) => vec![than(Who::CPen, AtMost, 2.0)],
            Row::KeepRate(100) => vec![than(Who::CPen, AtLeast, 0.85)],
            Row::KeepRate(1) => {
                vec![than(Who::CPen, AtLeast, 1.1), than(Who::HaProxy, AtLeast, 1.1)]
            }
            Row::DownRate(8) => {
                vec![than(Who::CPen, AtLeast, 1.7), than(Who::HaProxy, AtLeast, 1.0)]
            }
            Row::DownCpu(8) => vec![than(Who::CPen, AtMost, 0.65), than(Who::HaProxy, AtMost, 0.8)],
            Row::UdpRate(100) => vec![than(Who::CPen, AtLeast, 1.0)],
            Row::TableRate => vec![Target(Than::Row(Row::TableEmpty), AtLeast, 0.9)],
            Row::Seen => vec![Target(Than::Row(Row::Unseen), AtLeast, 0.95)],
            Row::Strangers => vec![than(Who::CPen, AtLeast, 20.0)],
            Row::Checked(n) => vec![Target(Than::Row(Row::Unchecked(n)), AtLeast, 0.95)],
            Row::CheckCpu(50) => bound(AtMost, 1.0),
            Row::MemoryStart => bound(AtMost, 4.0),
            Row::MemoryIdle => bound(AtMost, 24.0),
            Row::Answering => bound(AtLeast, 9000.0),
            Row::MemoryAfter => vec![Target(Than::Row(Row::MemoryBefore), AtMost, 1.2)],
            Row::Start => bound(AtMost, 20.0),
            _ => match self.first() {
                Some(first) if first != self => vec![Target(Than::Row(first), AtLeast, 0.8)],
                _ => Vec::new(),
            },
        }
    }

    /// The row that shows the same with least of what grows.
    fn first(self) -> Option<Row> {
        Some(match self {
            Row::Beside(_) => Row::Beside(growth::CONNECTIONS[0]),
            Row::Active(_) => Row::Active(growth::CONNECTIONS[0]),
            Row::Known(_) => Row::Known(growth::CLIENTS[0]),
            Row::InTurn(_) => Row::InTurn(growth::SERVERS[0]),
            Row::ByWeight(_) => Row::ByWeight(growth::SERVERS[0]),
            _ => return None,
        })
    }

    /// Its name as what another row is compared with.
    pub(crate) fn short(self) -> String {
        match self {
            Row::MemoryBefore => "before".to_owned(),
            Row::TableEmpty => "with one client".to_owned(),
            Row::Unseen => "with nobody there".to_owned(),
            Row::Unchecked(_) => "without checks".to_owned(),
            Row::Beside(n) | Row::Active(n) => format!("with {n} connections"),
            Row::Known(n) => format!("with {n} clients"),
            Row::InTurn(n) | Row::ByWeight(n) => format!("with {n} servers"),
            _ => self.label().trim().to_owned(),
        }
    }
}
