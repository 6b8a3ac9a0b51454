//! Options told from operands, for the programs that have a table of options:
//! the table decides what is an option, and the usage text comes from it.
//!
//! What an option does is the program's own: it is the table's `action`, which
//! nothing here looks at.

use getopts::{Fail, HasArg, Occur, Options, ParsingStyle};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

/// An option of a table.
pub struct Spec<A> {
    /// The letter, or nothing.
    pub short: &'static str,
    /// The long name, or nothing.
    pub long: &'static str,
    /// What its value is, or nothing.
    pub value: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    /// What the program does about it.
    pub action: A,
}

impl<A> Spec<A> {
    /// An option with a letter; `value` is empty for one that takes none.
    pub const fn letter(
        short: &'static str,
        value: &'static str,
        help: &'static str,
        action: A,
    ) -> Spec<A> {
        Spec { short, long: "", value, help, action }
    }

    /// An option with a long name; `value` is empty for one that takes none.
    pub const fn long(
        long: &'static str,
        value: &'static str,
        help: &'static str,
        action: A,
    ) -> Spec<A> {
        Spec { short: "", long, value, help, action }
    }

    /// `-x`, or `--name` where there is no letter.
    pub fn name(&self) -> String {
        match self.short {
            "" => format!("--{}", self.long),
            short => format!("-{short}"),
        }
    }
}

/// What a program does about its command line.
#[derive(Debug)]
pub enum Invocation<Plan> {
    /// It prints this text and exits with status 0.
    Print(String),
    /// It runs with these settings.
    Run(Plan),
}

/// What an option does in a program whose options only fill in a plan.
pub enum Action<Plan> {
    /// It changes the plan.
    Set(fn(&mut Plan, String)),
    /// It changes the plan, or says what it expected in place of its value.
    Check(fn(&mut Plan, &str) -> Result<(), &'static str>),
    /// It prints the usage text.
    Help,
    /// It prints this line.
    Version(&'static str),
}

/// Lets the options of the command line change `plan`, and returns the operands
/// to run with. A call without operands prints the usage text, which is no failure.
pub(crate) fn read<Plan>(
    program: &str,
    table: &'static [Spec<Action<Plan>>],
    words: &[OsString],
    plan: &mut Plan,
    usage: fn() -> String,
) -> Result<Invocation<Vec<String>>, String> {
    let (given, operands) = split(program, table, words)?;
    for (spec, word) in given {
        match spec.action {
            Action::Set(set) => set(plan, word),
            Action::Check(set) => set(plan, &word)
                .map_err(|wanted| format!("{} {word}: expected {wanted}", spec.name()))?,
            Action::Help => return Ok(Invocation::Print(usage())),
            Action::Version(text) => return Ok(Invocation::Print(text.to_owned())),
        }
    }
    Ok(match operands.is_empty() {
        true => Invocation::Print(usage()),
        false => Invocation::Run(operands),
    })
}

/// Options in the order in which they were given, with their values, and the
/// operands.
pub type Words<A> = (Vec<(&'static Spec<A>, String)>, Vec<String>);

/// Tells options from operands; both may be mixed. `program` is named where
/// help is to be found.
pub fn split<A>(
    program: &str,
    table: &'static [Spec<A>],
    words: &[OsString],
) -> Result<Words<A>, String> {
    if let Some(name) = words.iter().find_map(|word| long_with_one_dash(table, word)) {
        return Err(format!("-{name}: write --{name}"));
    }
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::FloatingFrees);
    for spec in table {
        let has_value = if spec.value.is_empty() { HasArg::No } else { HasArg::Yes };
        options.opt(spec.short, spec.long, "", "", has_value, Occur::Multi);
    }
    let matches = options.parse(words).map_err(|fail| match fail {
        Fail::UnrecognizedOption(name) => format!("{}: no such option", dashed(&name)),
        Fail::ArgumentMissing(name) => format!("{}: value missing", dashed(&name)),
        Fail::UnexpectedArgument(name) => format!("{}: takes no value", dashed(&name)),
        other => other.to_string(),
    });
    let matches = matches.map_err(|why| format!("{why}; {program} --help lists the options"))?;
    let mut given = Vec::new();
    for spec in table {
        let name = if spec.short.is_empty() { spec.long } else { spec.short };
        if spec.value.is_empty() {
            let positions = matches.opt_positions(name);
            given.extend(positions.into_iter().map(|at| (at, spec, String::new())));
        } else {
            let values = matches.opt_strs_pos(name);
            given.extend(values.into_iter().map(|(at, value)| (at, spec, value)));
        }
    }
    // In a cluster all share one position; the one with a value is its last.
    given.sort_by_key(|(at, spec, _)| (*at, !spec.value.is_empty()));
    let given = given.into_iter().map(|(_, spec, value)| (spec, value));
    Ok((given.collect(), matches.free))
}

/// The long option that a word is, but for a dash.
fn long_with_one_dash<A>(table: &'static [Spec<A>], word: &OsStr) -> Option<&'static str> {
    let name = word.to_str()?.strip_prefix('-')?;
    table.iter().map(|spec| spec.long).find(|long| !long.is_empty() && *long == name)
}

fn dashed(name: &str) -> String {
    match name.chars().count() {
        1 => format!("-{name}"),
        _ => format!("--{name}"),
    }
}

/// The options for a usage text, a line each.
pub fn list<A>(table: &[Spec<A>]) -> String {
    let mut text = String::new();
    for spec in table {
        let name = format!("{} {}", spec.name(), spec.value);
        let _ = writeln!(text, "  {name:<21} {}", spec.help);
    }
    text
}
