//! The figures of all rounds, as text and as CSV.

use crate::measure::median;
use crate::peers::Who;
use crate::rows::{Row, Sense, Target, Than};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Figures of all rounds.
#[derive(Default)]
pub(crate) struct Figures {
    all: BTreeMap<(Row, Who), Vec<f64>>,
}

impl Figures {
    pub(crate) fn add(&mut self, row: Row, who: Who, value: f64) {
        self.all.entry((row, who)).or_default().push(value);
    }

    /// The median.
    pub(crate) fn get(&self, row: Row, who: Who) -> Option<f64> {
        self.all.get(&(row, who)).map(|values| median(values))
    }

    /// What ours has of another's.
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
                (format!(" x {}", other.short()), value)
            }
            Than::Bound => (String::new(), self.get(row, Who::Ours)),
        };
        let (sign, met) = match sense {
            Sense::AtLeast => (">=", value.map(|value| value >= *bound)),
            Sense::AtMost => ("<=", value.map(|value| value <= *bound)),
        };
        let verdict = match (met, value) {
            (Some(true), _) => "met".to_owned(),
            (Some(false), Some(value)) => format!("NOT MET ({value:.2})"),
            _ => "not measured".to_owned(),
        };
        format!("{sign} {bound}{what}: {verdict}")
    }

    /// The table: medians, ratios, targets.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<42}", "");
        for who in Who::ALL {
            let _ = write!(text, "{:>9}", who.name());
        }
        text += "  /C pen /HAProxy  target\n";
        let measured = |row: &Row| Who::ALL.iter().any(|who| self.get(*row, *who).is_some());
        for row in Row::all().into_iter().filter(measured) {
            let _ = write!(text, "{:<42}", row.label());
            for who in Who::ALL {
                let value = self.get(row, who);
                let value = value.map(|value| grouped(value, row.digits()));
                let _ = write!(text, "{:>9}", value.as_deref().unwrap_or("-"));
            }
            for (who, width) in [(Who::CPen, 8), (Who::HaProxy, 9)] {
                let ratio = self.ratio(row, who).map(|ratio| format!("{ratio:.2}"));
                let _ = write!(text, "{:>width$}", ratio.as_deref().unwrap_or("-"));
            }
            let targets: Vec<String> =
                row.targets().iter().map(|target| self.judge(row, target)).collect();
            let line = format!("  {}", targets.join("; "));
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// The medians of those that were measured, as a table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let is_here = |who: &Who| self.all.keys().any(|(_, other)| other == who);
        let peers: Vec<Who> = Who::ALL.into_iter().filter(is_here).collect();
        let names: Vec<&str> = peers.iter().map(|who| who.name()).collect();
        let mut text = format!("| work | {} |\n|---|", names.join(" | "));
        text += &"---|".repeat(peers.len());
        for row in Row::all() {
            let values = peers.iter().map(|who| self.get(row, *who));
            if values.clone().all(|value| value.is_none()) {
                continue;
            }
            let cells = values.map(|value| value.map(|value| grouped(value, row.digits())));
            let cells: Vec<String> = cells.map(Option::unwrap_or_default).collect();
            let _ = write!(text, "\n| {} | {} |", row.label().trim(), cells.join(" | "));
        }
        text
    }

    /// Every figure of every round, and the medians.
    pub(crate) fn csv(&self) -> String {
        let mut text = String::from("measure,peer,round,value\n");
        for ((row, who), values) in &self.all {
            let rounds = (1..).map(|round: usize| round.to_string()).zip(values.iter().copied());
            let middle = ("median".to_owned(), median(values));
            for (round, value) in rounds.chain([middle]) {
                let _ = writeln!(text, "{row:?},{},{round},{value:.4}", who.name());
            }
        }
        text
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(value: f64, digits: usize) -> String {
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
