//! What a row of [`super::table`] says of a command, and what follows from it:
//! how its words are read, what it sets, what it replies, what `write` saves.

use super::edit::LONGEST;
use super::parse::{self, Bad, Command, Parsed, Words};
use crate::proxy::shared::Pen;
use crate::settings::Settings;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A command of the table.
pub struct Spec {
    /// The word that a line begins with.
    pub name: &'static str,
    /// Its arguments, as `help` and the manual show them.
    pub args: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    kind: Kind,
    /// The arguments of the form that has `no` before it, if it has that form.
    no: Option<&'static str>,
    /// Does not show what it has just set.
    silent: bool,
    /// The words that its value is shown between.
    around: (&'static str, &'static str),
    /// What `write` saves, if that is not the field.
    saved: Option<fn(&Pen) -> Option<Value>>,
}

type Field<T> = fn(&mut Settings) -> &mut T;

/// What a command does. One that has a field of the settings sets it; without a
/// value, it shows it.
pub(super) enum Kind {
    /// Sets a flag, or with `no` clears it.
    Switch(Field<bool>),
    /// Sets a time in whole seconds, between the two bounds.
    Seconds(Field<Duration>, u64, u64),
    /// Sets a number.
    Number(Field<u32>),
    /// Chooses an access list.
    List(Field<usize>),
    /// Names a file; `no` takes the name away.
    Path(Field<Option<PathBuf>>),
    /// Sets an address, as it was given; `no` takes it away.
    Text(Field<Option<String>>),
    /// Sets something else that is written as one word; `no` takes it away.
    Word {
        /// Refuses words that mean nothing, before anything is carried out.
        check: fn(Option<&str>) -> Result<(), Bad>,
        get: fn(&Settings) -> Option<String>,
        set: fn(&mut Settings, Option<&str>),
    },
    /// Shows settings.
    Show(fn(&Settings) -> String),
    /// Anything else: reads its words itself.
    Do(fn(&mut Words) -> Parsed),
}

/// What a command sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// On or off: the command, or `no` and the command.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A word, which may be missing.
    Text(Option<String>),
    /// The servers, which have lines of their own.
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
        Spec { name, args, help, kind, no: None, silent: false, around: ("", ""), saved: None }
    }

    /// The command has a form with `no`, which has these arguments.
    pub(super) const fn or_no(mut self, args: &'static str) -> Spec {
        self.no = Some(args);
        self
    }

    /// The command does not show what it has just set.
    pub(super) const fn silent(mut self) -> Spec {
        self.silent = true;
        self
    }

    /// The value is shown between these words.
    pub(super) const fn between(mut self, before: &'static str, after: &'static str) -> Spec {
        self.around = (before, after);
        self
    }

    /// `write` saves this, or nothing.
    pub(super) const fn saved(mut self, saved: fn(&Pen) -> Option<Value>) -> Spec {
        self.saved = Some(saved);
        self
    }

    /// Whether `no` may stand before it.
    pub fn has_no(&self) -> bool {
        self.no.is_some()
    }

    /// The arguments behind the name, or behind `no` and the name.
    pub(super) fn args(&self, no: bool) -> Option<&'static str> {
        if no { self.no } else { Some(self.args) }
    }

    /// What the words behind the name ask for.
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
            Kind::Path(_) | Kind::Text(_) => words.next().map(Value::text),
            Kind::Word { check, .. } => {
                let word = words.next();
                check(word)?;
                word.map(Value::text)
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

    /// Sets the field; the reply.
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
            (Kind::Word { set, .. }, Value::Text(word)) => set(s, word.as_deref()),
            // `parse` makes no others.
            _ => {}
        }
        if self.silent { String::new() } else { self.show(s) }
    }

    /// What the command replies when it is given no value.
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

    /// What its field is set to, if it has one.
    fn value(&self, s: &mut Settings) -> Option<Value> {
        Some(match &self.kind {
            Kind::Switch(field) => Value::Flag(*field(s)),
            Kind::Seconds(field, ..) => Value::Number(field(s).as_secs()),
            Kind::Number(field) => Value::Number((*field(s)).into()),
            Kind::List(field) => Value::Number(*field(s) as u64),
            Kind::Path(field) => Value::Text(field(s).as_ref().map(|p| p.display().to_string())),
            Kind::Text(field) => Value::Text(field(s).clone()),
            Kind::Word { get, .. } => Value::Text(get(s)),
            Kind::Show(_) | Kind::Do(_) => return None,
        })
    }

    /// What `write` saves for it, if anything. `s` is only read.
    pub(super) fn value_to_save(&self, pen: &Pen, s: &mut Settings) -> Option<Value> {
        match self.saved {
            Some(value) => value(pen),
            None => self.value(s),
        }
    }
}

impl PartialEq for Spec {
    /// There is one row for each name.
    fn eq(&self, other: &Spec) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}
