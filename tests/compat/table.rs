//! The table of cases.

use crate::differences::{ALL, Difference};
use crate::runs::{Note, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    Better,
    /// Better, and the case has seen the C program do worse.
    Shown,
    Different,
    /// Cannot be tried here, and is not counted.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Verdict::Same => "same",
            Verdict::Better => "better",
            Verdict::Shown => "better, shown",
            Verdict::Different => "DIFFERENT",
            Verdict::Skipped => "skipped",
        })
    }
}

struct Case {
    verdict: Verdict,
    reason: String,
}

/// All cases by name.
pub(crate) struct Table {
    cases: BTreeMap<String, Case>,
    /// The rows that they name.
    rows: BTreeSet<String>,
}

fn row(what: &str) -> Option<&'static Difference> {
    ALL.iter().find(|row| row.what == what)
}

impl Table {
    pub(crate) fn new(ours: &Run, theirs: &Run) -> Table {
        let mut table = Table { cases: BTreeMap::new(), rows: BTreeSet::new() };
        for name in ours.tests.keys().chain(theirs.tests.keys()) {
            if let Some(case) = table.of_test(name, ours, theirs) {
                table.cases.insert(name.clone(), case);
            }
        }
        // Lines that a test has compared one by one, `test: line`.
        for (name, notes) in &ours.notes {
            let passes = |test| ours.tests.get(test) == Some(&true);
            if let Some((test, _)) = name.split_once(": ") {
                // A test that fails is different as a whole.
                if passes(test) {
                    let case = table.of_notes(notes);
                    table.cases.extend(case.map(|case| (name.clone(), case)));
                }
            }
        }
        table
    }

    /// What becomes of a test; nothing if it is no case, or several.
    fn of_test(&mut self, name: &str, ours: &Run, theirs: &Run) -> Option<Case> {
        let different =
            |reason: &str| Some(Case { verdict: Verdict::Different, reason: reason.to_owned() });
        match (ours.tests.get(name), theirs.tests.get(name)) {
            (Some(true), Some(true)) => {}
            (Some(false), Some(true)) => return different("fails on ours"),
            (Some(true), Some(false)) => return different("fails on the C pen"),
            (Some(false), Some(false)) => return different("fails on both"),
            _ => return different("in one of the runs only"),
        }
        let of = |run: &Run| run.notes.get(name).cloned().unwrap_or_default();
        let notes: BTreeSet<Note> = of(ours).union(&of(theirs)).cloned().collect();
        let lines = format!("{name}: ");
        let mut others = ours.notes.keys();
        if let Some(case) = self.of_notes(&notes) {
            return Some(case);
        } else if others.any(|case| case.starts_with(&lines)) || ours.asides.contains(name) {
            return None;
        }
        match [ours, theirs].map(|run| run.running.contains(name)) {
            [true, true] => Some(Case { verdict: Verdict::Same, reason: String::new() }),
            _ => different("passes, but does not run the program"),
        }
    }

    fn of_notes(&mut self, notes: &BTreeSet<Note>) -> Option<Case> {
        let mut reasons = BTreeSet::new();
        let (mut verdict, mut skipped) = (None, None);
        for note in notes {
            match note {
                Note::Same => verdict = verdict.or(Some(Verdict::Same)),
                Note::Skipped(why) => skipped = Some(why),
                Note::Better { what, shown } => {
                    self.rows.insert(what.clone());
                    let Some(row) = row(what) else {
                        verdict = Some(Verdict::Different);
                        reasons.insert(format!("no such row: {what}"));
                        continue;
                    };
                    reasons
                        .insert(format!("{}: C pen: {}; ours: {}", row.what, row.c_pen, row.ours));
                    let shown = *shown || verdict == Some(Verdict::Shown);
                    verdict = Some(match shown {
                        true => Verdict::Shown,
                        false => Verdict::Better,
                    });
                }
            }
        }
        let reason = Vec::from_iter(reasons).join(". ");
        match (verdict, skipped) {
            (Some(verdict), _) => Some(Case { verdict, reason }),
            (None, Some(why)) => Some(Case { verdict: Verdict::Skipped, reason: why.clone() }),
            (None, None) => None,
        }
    }

    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        let cases = self.cases.values();
        cases.filter(|case| case.verdict == verdict).count()
    }

    /// How many cases count.
    pub(crate) fn cases(&self) -> usize {
        self.cases.len() - self.count(Verdict::Skipped)
    }

    pub(crate) fn totals(&self) -> String {
        let [same, better, shown, different, skipped] =
            [Verdict::Same, Verdict::Better, Verdict::Shown, Verdict::Different, Verdict::Skipped]
                .map(|verdict| self.count(verdict));
        let mut text = format!(
            "{} cases: {same} the same, {} better, {different} different",
            self.cases(),
            better + shown
        );
        if skipped > 0 {
            text += &format!("; {skipped} cannot be tried here");
        }
        text
    }

    /// The rows of the differences that no case names.
    pub(crate) fn unnamed_rows(&self) -> Vec<&'static str> {
        let rows = ALL.iter().map(|row| row.what);
        rows.filter(|what| !self.rows.contains(*what)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = self.cases.keys().map(|name| name.chars().count());
        let width = names.max().unwrap_or(0).min(76);
        for (name, case) in &self.cases {
            let line = format!("{name:width$}  {:13}  {}", case.verdict, case.reason);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
