//! Reads the command line, and makes a [`Pen`] of options and operands before it
//! starts. Parsing and the usage text come from one table.

use crate::control::commands;
use crate::control::edit::Edit;
use crate::control::parse;
use crate::getopt;
use crate::proxy::shared::{Pen, Phase};
use crate::settings::Settings;
use crate::sys::addr::{self, ServerSpec};
use crate::sys::message;
use std::ffi::OsString;

mod table;
mod warnings;
pub use table::{Action, Spec, TABLE};
pub use warnings::warnings;

/// What pen is to do, as the command line says.
pub enum Task {
    /// Print this text and exit with status 0.
    Print(String),
    /// Print the usage text as an error: no operand says where to listen.
    Usage,
    /// Exit after `--check`, which has found nothing wrong so far.
    Checked(Pen),
    /// The same for `--try`, which then connects to the servers.
    Try(Pen),
    /// Run this pen.
    Run(Pen),
}

/// A pen whose options are being read.
pub struct Draft {
    pen: Pen,
    print: Option<String>,
    /// What is to be done with the pen.
    task: fn(Pen) -> Task,
    replies: String,
    /// Options that wait for the listening port: their names, commands and words.
    late: Vec<(String, &'static str, String)>,
}

fn version() -> String {
    format!("pen {}\n", env!("CARGO_PKG_VERSION"))
}

/// Returns the usage text.
pub(crate) fn usage() -> String {
    let mut text = String::from(
        "usage: pen [options] [host:]port[-port][,...]|/path server [server ...]\n\
         server: host[:port[:max[:hard[:weight[:prio]]]]], [address]:port:..., or /path\n\
         example: pen -f 8080 web1:80 web2:80\n",
    );
    for spec in TABLE {
        let heading = table::HEADINGS.iter().find(|(first, _)| *first == spec.short);
        if let Some((_, heading)) = heading {
            text += &["\n", heading, ":\n"].concat();
        }
        text += &getopt::line(spec, 23);
    }
    text += "\nMore: man pen\n";
    text
}

impl Draft {
    fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        self.pen.set(change);
    }

    /// Carries out the control command of this name with this argument.
    fn same(&mut self, name: &str, word: &str) -> Result<(), String> {
        let spec = parse::find(name).ok_or("there is no such command")?;
        commands::execute(&self.pen, parse::with(spec, word)?).map(drop)
    }

    /// Carries out the line of `-O`. Like the C pen, pen only warns of a command that it
    /// does not know.
    fn line(&mut self, line: &str) -> Result<(), String> {
        match commands::line_and_notes(&self.pen, line) {
            Ok((reply, notes)) => {
                self.replies += &reply;
                notes.iter().for_each(|note| message::warn(format_args!("-O {line}: {note}")));
            }
            Err(why) if parse::ignored(line).is_none() => return Err(why),
            Err(why) => message::warn(format_args!("-O {line}: ignored: {why}")),
        }
        Ok(())
    }

    /// Notes that an option has set the value of this command, so that pen skips the
    /// command in the configuration file.
    fn give(&mut self, name: &'static str) {
        self.set(|s| s.start.given.push(name));
    }

    fn apply(&mut self, spec: &Spec, word: &str) -> Result<(), String> {
        let name = spec.name();
        let said = |why: String| match word.strip_prefix('=') {
            Some(value) => format!("{name}: write {name} {value}, without ="),
            None => format!("{name} {}", addr::within(word, &why)),
        };
        match spec.action {
            Action::Same(command) => self.same(command, word).map_err(said),
            Action::Late(command) => {
                self.late.retain(|(_, other, _)| *other != command);
                self.late.push((name, command, word.to_owned()));
                self.give(command);
                Ok(())
            }
            Action::Flag(action) => {
                action(self);
                Ok(())
            }
            Action::Value(action) => action(self, word).map_err(said),
            Action::Obsolete => {
                message::warn(format_args!("{name} is obsolete and ignored"));
                Ok(())
            }
            Action::Tls => Err(format!(
                "{name}: TLS is not built in; put stunnel, hitch or nginx in front of pen"
            )),
        }
    }
}

/// Reads the command line and the configuration file that it names, and resolves the
/// operands. Opens and changes nothing. `print` gets the replies of commands.
pub fn read(words: &[OsString], print: impl Fn(&str)) -> Result<Task, String> {
    let (given, operands) = getopt::split("pen", TABLE, words)?;
    let pen = Pen::new().map_err(|e| e.to_string())?;
    let mut draft =
        Draft { pen, print: None, task: Task::Run, replies: String::new(), late: Vec::new() };
    if given.iter().any(|(spec, _)| ["check", "try"].contains(&spec.long)) {
        draft.pen.enter(Phase::Checking);
    }
    // Servers of -O that have no port get the listening port.
    draft.set(|s| s.listen = operands.first().cloned());
    for (spec, word) in given {
        draft.apply(spec, &word)?;
        if let Some(text) = draft.print {
            return Ok(Task::Print(text));
        }
        // A later option may fail, so the reply to -O is printed at once.
        print(&std::mem::take(&mut draft.replies));
    }
    message::set_debug(draft.pen.settings().debug);
    let servers = read_operands(&draft.pen, &operands)?;
    for (name, command, word) in std::mem::take(&mut draft.late) {
        draft.same(command, &word).map_err(|why| format!("{name} {why}"))?;
    }
    let pen = draft.pen;
    commands::configure(&pen)?;
    set_servers(&pen, servers);
    pen.use_default_sizes();
    Ok(match pen.settings().listen {
        None if words.is_empty() => Task::Print(usage()),
        None => Task::Usage,
        Some(_) => (draft.task)(pen),
    })
}

/// Sets the listening address and returns the servers.
fn read_operands(pen: &Pen, operands: &[String]) -> Result<Vec<ServerSpec>, String> {
    let [listen, servers @ ..] = operands else { return Ok(Vec::new()) };
    let port = addr::listening(listen)?.default_port();
    pen.set(|s| s.listen = Some(listen.clone()));
    servers.iter().map(|word| addr::server(word, port)).collect()
}

/// Sets the servers of the operands, which override the configuration file.
fn set_servers(pen: &Pen, servers: Vec<ServerSpec>) {
    let mut table = pen.servers.table();
    for (index, spec) in servers.into_iter().enumerate() {
        table.fill(index, spec.port.into());
        if let Some(server) = table.servers.get_mut(index) {
            Edit::from(spec).apply(server);
        }
    }
    table.expand();
}

#[cfg(test)]
mod tests;
