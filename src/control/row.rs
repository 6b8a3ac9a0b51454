//! A row of [`super::table`] describes a command. This module derives from it how
//! the command's words are read, what it sets and replies, and what `write` saves.

use super::edit::LONGEST;
use super::parse::{self, Bad, Command, Parsed, Words};
use crate::proxy::shared::Pen;
use crate::settings::Settings;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A command of the table.
pub struct Spec {
    /// The line begins with this word, or with `no` and this word.
    pub name: &'static str,
    /// Its arguments, as `help` and the manual show them.
    pub args: &'static str,
    /// `help` describes the command with this line.
    pub help: &'static str,
    kind: Kind,
    /// The arguments that follow `no` and the name, if `no` may stand before it.
    no: Option<&'static str>,
    /// The command replies nothing when it has set a value.
    silent: bool,
    /// Refuses bad values before any command of the line or file takes effect.
    check: fn(Option<&str>) -> Result<(), Bad>,
    /// The reply shows the value between these two texts.
    around: (&'static str, &'static str),
    /// `write` saves this instead of the field.
    saved: Option<fn(&Pen) -> Option<Value>>,
}

type Field<T> = fn(&mut Settings) -> &mut T;

/// What a command does. If it has a field of the settings, it sets that field, or
/// shows it when the line has no value.
pub(super) enum Kind {
    /// Sets a flag, or clears it with `no`.
    Switch(Field<bool>),
    /// Sets a time in whole seconds, between the two bounds.
    Seconds(Field<Duration>, u64, u64),
    /// Sets a number.
    Number(Field<u32>),
    /// Chooses an access list.
    List(Field<usize>),
    /// Sets the path of a file, or removes it with `no`.
    Path(Field<Option<PathBuf>>),
    /// Sets a text, exactly as it was given, or removes it with `no`.
    Text(Field<Option<String>>),
    /// Clears a flag with the first of these words, and sets it with the second.
    Either([&'static str; 2], Field<bool>),
    /// Sets something else that one word describes, or removes it with `no`.
    Word { get: fn(&Settings) -> Option<String>, set: fn(&mut Settings, Option<&str>) },
    /// Shows settings.
    Show(fn(&Settings) -> String),
    /// Does anything else, and reads its words by itself.
    Do(fn(&mut Words) -> Parsed),
}

/// The value that a command sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A flag, which `no` before the command clears.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A word, which may be missing.
    Text(Option<String>),
    /// All servers: `write` saves a line for each.
    Servers,
}

impl Value {
    fn text(word: &str) -> Value {
        Value::Text(Some(word.to_owned()))
    }
}

impl Spec {
    pub(super) const fn new(
        name: &'static str,
        args: &'static str,
        help: &'static str,
        kind: Kind,
    ) -> Spec {
        Spec {
            name,
            args,
            help,
            kind,
            no: None,
            silent: false,
            check: |_| Ok(()),
            around: ("", ""),
            saved: None,
        }
    }

    /// Allows `no` before the name, with these arguments.
    pub(super) const fn or_no(mut self, args: &'static str) -> Spec {
        self.no = Some(args);
        self
    }

    /// Keeps the command from replying with the value that it has set.
    pub(super) const fn silent(mut self) -> Spec {
        self.silent = true;
        self
    }

    /// Refuses values that `check` refuses. A value may be missing.
    pub(super) const fn checked(mut self, check: fn(Option<&str>) -> Result<(), Bad>) -> Spec {
        self.check = check;
        self
    }

    /// Returns the words of a value, which is a text.
    pub(super) fn words<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        text.splitn(if self.has_two_words() { 2 } else { 1 }, ' ')
    }

    /// Tells whether the value may have a second word, after a blank.
    fn has_two_words(&self) -> bool {
        self.args.contains(" [")
    }

    /// Shows the value between these two texts.
    pub(super) const fn between(mut self, before: &'static str, after: &'static str) -> Spec {
        self.around = (before, after);
        self
    }

    /// Lets `write` save this in place of the field; `None` saves nothing.
    pub(super) const fn saved(mut self, saved: fn(&Pen) -> Option<Value>) -> Spec {
        self.saved = Some(saved);
        self
    }

    /// Tells whether it sets a time, in seconds.
    pub(crate) fn is_time(&self) -> bool {
        matches!(self.kind, Kind::Seconds(..))
    }

    /// Tells whether `no` may stand before the name.
    pub fn has_no(&self) -> bool {
        self.no.is_some()
    }

    /// Returns the arguments that follow the name, or `no` and the name.
    pub(super) fn args(&self, no: bool) -> Option<&'static str> {
        if no { self.no } else { Some(self.args) }
    }

    /// Reads the words that follow the name.
    pub(super) fn parse(&'static self, words: &mut Words) -> Parsed {
        let value = match &self.kind {
            Kind::Switch(_) => Some(Value::Flag(!words.no)),
            Kind::Seconds(_, least, most) => {
                let seconds = parse::maybe(words)?;
                seconds.map(|n| self.check_seconds(n, *least, *most)).transpose()?;
                seconds.map(Value::Number)
            }
            Kind::Number(_) => parse::maybe::<u32>(words)?.map(|n| Value::Number(n.into())),
            Kind::List(_) => parse::maybe(words)?.map(|n| Value::Number(parse::list_or_0(n))),
            Kind::Path(_) | Kind::Text(_) | Kind::Word { .. } if words.no => {
                Some(Value::Text(None))
            }
            Kind::Path(_) | Kind::Text(_) | Kind::Either(..) | Kind::Word { .. } => {
                let mut word = words.next().map(str::to_owned);
                if let (true, Some(word)) = (self.has_two_words(), &mut word) {
                    word.extend(words.next().iter().flat_map(|second| [" ", second]));
                }
                if let Kind::Either(both, _) = &self.kind {
                    parse::among(word.as_deref(), both)?;
                }
                (self.check)(word.as_deref())?;
                word.map(|word| Value::Text(Some(word)))
            }
            Kind::Show(_) => None,
            Kind::Do(parse) => return parse(words),
        };
        Ok(value.map_or(Command::Show(self), |value| Command::Set(self, value)))
    }

    fn check_seconds(&self, seconds: u64, least: u64, most: u64) -> Result<(), Bad> {
        let name = self.name;
        match seconds {
            LONGEST.. => Err(Bad::Reply(format!("time too long, {LONGEST} seconds at most"))),
            n if n > most => Err(Bad::Reply(format!("{name}: {most} seconds at most"))),
            n if n < least => Err(Bad::Reply(format!("{name}: at least {least} second"))),
            _ => Ok(()),
        }
    }

    /// Sets the field and returns the reply.
    pub(super) fn set(&self, s: &mut Settings, value: &Value) -> String {
        match (&self.kind, value) {
            (Kind::Switch(field), Value::Flag(on)) => *field(s) = *on,
            (Kind::Seconds(field, ..), Value::Number(n)) => *field(s) = Duration::from_secs(*n),
            (Kind::Number(field), Value::Number(n)) => {
                *field(s) = u32::try_from(*n).unwrap_or(u32::MAX);
            }
            (Kind::List(field), Value::Number(n)) => *field(s) = usize::try_from(*n).unwrap_or(0),
            (Kind::Path(field), Value::Text(path)) => *field(s) = path.as_ref().map(PathBuf::from),
            (Kind::Text(field), Value::Text(text)) => field(s).clone_from(text),
            (Kind::Either([_, on], field), Value::Text(word)) => {
                *field(s) = word.as_deref() == Some(on);
            }
            (Kind::Word { set, .. }, Value::Text(word)) => set(s, word.as_deref()),
            // `parse` makes no other pairs.
            _ => {}
        }
        if self.silent { String::new() } else { self.show(s) }
    }

    /// Returns the reply of a command without a value.
    pub(super) fn show(&self, s: &mut Settings) -> String {
        let value = match (&self.kind, self.value(s)) {
            (Kind::Show(show), _) => return show(s),
            (_, Some(Value::Number(number))) => number.to_string(),
            (_, Some(Value::Text(Some(text)))) => text,
            _ => return String::new(),
        };
        let (before, after) = self.around;
        format!("{before}{value}{after}\n")
    }

    /// Returns the value of its field, if it has one. `s` is only read.
    fn value(&self, s: &mut Settings) -> Option<Value> {
        Some(match &self.kind {
            Kind::Switch(field) => Value::Flag(*field(s)),
            Kind::Seconds(field, ..) => Value::Number(field(s).as_secs()),
            Kind::Number(field) => Value::Number((*field(s)).into()),
            Kind::List(field) => Value::Number(*field(s) as u64),
            Kind::Path(field) => Value::Text(field(s).as_ref().map(|p| p.display().to_string())),
            Kind::Text(field) => Value::Text(field(s).clone()),
            Kind::Either([off, on], field) => Value::text(if *field(s) { on } else { off }),
            Kind::Word { get, .. } => Value::Text(get(s)),
            Kind::Show(_) | Kind::Do(_) => return None,
        })
    }

    /// Returns the value that `write` saves, if any. `s` is only read.
    pub(super) fn value_to_save(&self, pen: &Pen, s: &mut Settings) -> Option<Value> {
        match self.saved {
            Some(value) => value(pen),
            None => self.value(s),
        }
    }
}

impl PartialEq for Spec {
    /// Compares the names, since each name has one row.
    fn eq(&self, other: &Spec) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}
