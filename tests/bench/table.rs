//! The figures of all rounds, and how they are shown.

use crate::measure::median;
use crate::peers::Who;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is measured, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    ShortRate,
    ShortP99,
    ShortCpu,
    KeepRate,
    KeepCpu,
    SingleRate,
    BulkRate,
    BulkCpu,
    /// Of UDP with so many clients.
    UdpRate(u32),
    UdpCpu(u32),
    UdpLost(u32),
    UdpStrayed(u32),
    TableRate,
    TableEmpty,
    Strangers,
    MemoryStart,
    MemoryBefore,
    MemoryIdle,
    MemoryAfter,
    Start,
}

/// What our figure is compared with.
enum Than {
    /// That peer's.
    Peer(Who),
    /// Ours in another row.
    Row(Row),
    /// Nothing: the bound is absolute.
    Bound,
}

/// A target: at least or at most so much of that.
struct Target(Than, Sense, f64);

#[derive(PartialEq)]
enum Sense {
    AtLeast,
    AtMost,
}

use Sense::{AtLeast, AtMost};

impl Row {
    /// Those that are shown.
    const ALL: [Row; 29] = [
        Row::ShortRate,
        Row::ShortP99,
        Row::ShortCpu,
        Row::KeepRate,
        Row::KeepCpu,
        Row::SingleRate,
        Row::BulkRate,
        Row::BulkCpu,
        Row::UdpRate(1),
        Row::UdpCpu(1),
        Row::UdpLost(1),
        Row::UdpRate(10),
        Row::UdpCpu(10),
        Row::UdpLost(10),
        Row::UdpRate(100),
        Row::UdpCpu(100),
        Row::UdpLost(100),
        Row::UdpRate(1000),
        Row::UdpCpu(1000),
        Row::UdpLost(1000),
        Row::UdpStrayed(1000),
        Row::TableRate,
        Row::TableEmpty,
        Row::Strangers,
        Row::MemoryStart,
        Row::MemoryBefore,
        Row::MemoryIdle,
        Row::MemoryAfter,
        Row::Start,
    ];

    fn label(self) -> String {
        let label = match self {
            Row::ShortRate => "short connections/s, 50 at a time",
            Row::ShortP99 => "  99 of 100 take at most, ms",
            Row::ShortCpu => "  processor time each, us",
            Row::KeepRate => "requests/s on 100 connections",
            Row::KeepCpu => "  processor time each, us",
            Row::SingleRate => "requests/s on 1 connection",
            Row::BulkRate => "bulk, 8 streams, GB/s",
            Row::BulkCpu => "  processor seconds per GB",
            Row::UdpRate(1) => "UDP answers/s, 1 client",
            Row::UdpRate(clients) => {
                let clients = grouped(clients.into(), 0);
                return format!("UDP answers/s, {clients} clients at once");
            }
            Row::UdpCpu(_) => "  processor time each, us",
            Row::UdpLost(_) => "  lost",
            Row::UdpStrayed(_) => "  came to the wrong client",
            Row::TableRate => "short connections/s, many clients seen",
            Row::TableEmpty => "  the same options, one client seen",
            Row::Strangers => "  each from a new address",
            Row::MemoryStart => "memory after start, MiB",
            Row::MemoryBefore => "  before the idle connections, MiB",
            Row::MemoryIdle => "  each idle connection, KiB more",
            Row::MemoryAfter => "  a minute after them, MiB",
            Row::Start => "start to first client served, ms",
        };
        label.to_owned()
    }

    fn digits(self) -> usize {
        match self {
            Row::ShortRate | Row::KeepRate | Row::SingleRate => 0,
            Row::TableRate | Row::TableEmpty | Row::Strangers => 0,
            Row::UdpRate(_) | Row::UdpLost(_) | Row::UdpStrayed(_) => 0,
            Row::BulkRate | Row::BulkCpu => 2,
            _ => 1,
        }
    }

    /// The targets that the project has set itself.
    fn targets(self) -> Vec<Target> {
        let than = |who, sense, bound| Target(Than::Peer(who), sense, bound);
        match self {
            Row::ShortRate => vec![than(Who::CPen, AtLeast, 0.9)],
            Row::ShortP99 => vec![than(Who::CPen, AtMost, 2.0)],
            Row::KeepRate => vec![than(Who::CPen, AtLeast, 0.85)],
            Row::SingleRate => vec![
                than(Who::CPen, AtLeast, 1.1),
                than(Who::HaProxy, AtLeast, 1.1),
            ],
            Row::BulkRate => vec![
                than(Who::CPen, AtLeast, 1.7),
                than(Who::HaProxy, AtLeast, 1.0),
            ],
            Row::BulkCpu => vec![
                than(Who::CPen, AtMost, 0.65),
                than(Who::HaProxy, AtMost, 0.8),
            ],
            Row::UdpRate(100) => vec![than(Who::CPen, AtLeast, 1.0)],
            Row::TableRate => vec![Target(Than::Row(Row::TableEmpty), AtLeast, 0.9)],
            Row::Strangers => vec![than(Who::CPen, AtLeast, 20.0)],
            Row::MemoryStart => vec![Target(Than::Bound, AtMost, 4.0)],
            Row::MemoryIdle => vec![Target(Than::Bound, AtMost, 24.0)],
            Row::MemoryAfter => vec![Target(Than::Row(Row::MemoryBefore), AtMost, 1.2)],
            Row::Start => vec![Target(Than::Bound, AtMost, 20.0)],
            Row::ShortCpu | Row::KeepCpu | Row::TableEmpty | Row::MemoryBefore => Vec::new(),
            Row::UdpRate(_) | Row::UdpCpu(_) | Row::UdpLost(_) | Row::UdpStrayed(_) => Vec::new(),
        }
    }
}

/// Figures of all rounds.
#[derive(Default)]
pub(crate) struct Figures {
    all: BTreeMap<(Row, Who), Vec<f64>>,
}

impl Figures {
    pub(crate) fn add(&mut self, row: Row, who: Who, value: f64) {
        self.all.entry((row, who)).or_default().push(value);
    }

    fn get(&self, row: Row, who: Who) -> Option<f64> {
        self.all.get(&(row, who)).map(|values| median(values))
    }

    fn ratio(&self, row: Row, who: Who) -> Option<f64> {
        let ratio = self.get(row, Who::Ours)? / self.get(row, who)?;
        ratio.is_finite().then_some(ratio)
    }

    /// Says whether a target is met, if there are figures to tell.
    fn judge(&self, row: Row, target: &Target) -> String {
        let Target(than, sense, bound) = target;
        let (what, value) = match than {
            Than::Peer(who) => (format!(" x {}", who.name()), self.ratio(row, *who)),
            Than::Row(other) => {
                let ours = |row| self.get(row, Who::Ours);
                let value = ours(row).zip(ours(*other)).map(|(a, b)| a / b);
                let name = match other {
                    Row::MemoryBefore => " x before",
                    _ => " x with one client",
                };
                (name.to_owned(), value)
            }
            Than::Bound => (String::new(), self.get(row, Who::Ours)),
        };
        let sign = if *sense == AtLeast { ">=" } else { "<=" };
        let verdict = match value {
            None => "not measured".to_owned(),
            Some(value) if (*sense == AtLeast) == (value >= *bound) || value == *bound => {
                "met".to_owned()
            }
            Some(value) => format!("NOT MET ({value:.2})"),
        };
        format!("{sign} {bound}{what}: {verdict}")
    }

    /// The table: medians, ratios, targets.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<40}", "");
        for who in Who::ALL {
            let _ = write!(text, "{:>10}", who.name());
        }
        text += "   /C pen /HAProxy  target\n";
        let measured = |row: &Row| Who::ALL.iter().any(|who| self.get(*row, *who).is_some());
        for row in Row::ALL.into_iter().filter(measured) {
            let _ = write!(text, "{:<40}", row.label());
            for who in Who::ALL {
                let value = self.get(row, who);
                let value = value.map(|value| grouped(value, row.digits()));
                let _ = write!(text, "{:>10}", value.as_deref().unwrap_or("-"));
            }
            for who in [Who::CPen, Who::HaProxy] {
                let ratio = self.ratio(row, who).map(|ratio| format!("{ratio:.2}"));
                let _ = write!(text, "{:>9}", ratio.as_deref().unwrap_or("-"));
            }
            let targets: Vec<String> = row
                .targets()
                .iter()
                .map(|target| self.judge(row, target))
                .collect();
            let _ = writeln!(text, "  {}", targets.join("; "));
        }
        text
    }

    /// Every figure of every round, and the medians.
    pub(crate) fn csv(&self) -> String {
        let mut text = String::from("measure,peer,round,value\n");
        for ((row, who), values) in &self.all {
            let rounds = (1..)
                .map(|round: usize| round.to_string())
                .zip(values.iter().copied());
            let middle = ("median".to_owned(), median(values));
            for (round, value) in rounds.chain([middle]) {
                let _ = writeln!(text, "{row:?},{},{round},{value:.4}", who.name());
            }
        }
        text
    }
}

/// A number with its thousands apart.
fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if i > 0 && left % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}
