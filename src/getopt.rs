//! Tells options from operands, for the programs that have a table of options. The
//! table decides which words are options, and the usage text comes from it.
//!
//! pen's options have actions, which [`split`] does not use. Those of the log programs
//! have only values, and [`read`] returns them.

use getopts::{Fail, HasArg, Occur, Options, ParsingStyle};
use std::ffi::{OsStr, OsString};
use std::str::FromStr;

/// An option of a table.
pub struct Spec<A> {
    /// The letter, or an empty text.
    pub short: &'static str,
    /// The long name, or an empty text.
    pub long: &'static str,
    /// The usage text's word for its value; empty if it takes none.
    pub value: &'static str,
    /// The usage text describes the option with this line.
    pub help: &'static str,
    /// What the program does when the option is given.
    pub(crate) action: A,
}

impl<A> Spec<A> {
    /// Makes an option with a letter. `value` is empty if it takes none.
    pub(crate) const fn letter(
        short: &'static str,
        value: &'static str,
        help: &'static str,
        action: A,
    ) -> Spec<A> {
        Spec { short, long: "", value, help, action }
    }

    /// Makes an option with a long name. `value` is empty if it takes none.
    pub(crate) const fn long(
        long: &'static str,
        value: &'static str,
        help: &'static str,
        action: A,
    ) -> Spec<A> {
        Spec { short: "", long, value, help, action }
    }

    /// Returns `-x`, or `--name` if it has no letter.
    pub fn name(&self) -> String {
        match self.short {
            "" => format!("--{}", self.long),
            short => format!("-{short}"),
        }
    }
}

/// What a program does after it has read its command line.
#[derive(Debug)]
pub enum Invocation<Plan> {
    /// It prints this text and exits with status 0.
    Print(String),
    /// It runs with these settings.
    Run(Plan),
}

/// The options and operands of a program that needs no more of its options than their
/// values.
pub(crate) struct Given {
    options: Vec<(&'static Spec<()>, String)>,
    pub(crate) operands: Vec<String>,
}

impl Given {
    fn values(&self, letter: &str) -> impl Iterator<Item = &String> {
        self.options.iter().filter(move |(spec, _)| spec.short == letter).map(|(_, value)| value)
    }

    /// How often an option was given.
    pub(crate) fn count(&self, letter: &str) -> usize {
        self.values(letter).count()
    }

    /// The value that an option was given last.
    pub(crate) fn value(&self, letter: &str) -> Option<&String> {
        self.values(letter).last()
    }

    /// The same as a number of at least `least`. The error names what was `expected`.
    pub(crate) fn number<T: FromStr + PartialOrd>(
        &self,
        letter: &str,
        least: T,
        expected: &str,
    ) -> Result<Option<T>, String> {
        let read = |word: &String| match word.parse() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(format!("-{letter} {word}: expected {expected}")),
        };
        self.value(letter).map(read).transpose()
    }
}

/// Reads the command line of a program whose table has the options `--help` and
/// `--version`.
pub(crate) fn read(
    program: &str,
    version: &str,
    table: &'static [Spec<()>],
    words: &[OsString],
    usage: fn() -> String,
) -> Result<Invocation<Given>, String> {
    let (options, operands) = split(program, table, words)?;
    let text = options.iter().find_map(|(spec, _)| match spec.long {
        "help" => Some(usage()),
        "version" => Some(version.to_owned()),
        _ => None,
    });
    Ok(match text {
        Some(text) => Invocation::Print(text),
        None => Invocation::Run(Given { options, operands }),
    })
}

/// Options in the order in which they were given, with their values, and the
/// operands.
pub(crate) type Words<A> = (Vec<(&'static Spec<A>, String)>, Vec<String>);

/// Tells options from operands, which may be mixed. Errors point to the help of
/// `program`.
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
    // All options of a cluster (`-dfl log`) have one position; the last has the value.
    given.sort_by_key(|(at, spec, _)| (*at, !spec.value.is_empty()));
    let given = given.into_iter().map(|(_, spec, value)| (spec, value));
    Ok((given.collect(), matches.free))
}

/// Finds the long option that this word would be with another dash.
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

/// Makes the part of a usage text that lists the options, a line for each.
pub(crate) fn list<A>(table: &[Spec<A>]) -> String {
    table.iter().map(|spec| line(spec, 11)).collect()
}

/// Makes the line of a usage text for one option, whose name and value have this width.
pub(crate) fn line<A>(spec: &Spec<A>, width: usize) -> String {
    let name = format!("{} {}", spec.name(), spec.value);
    format!("  {name:<width$} {}\n", spec.help)
}
