//! Reads configuration files, which have a control command on each line, and writes
//! them (`write`).

use crate::control::commands::Outcome;
use crate::control::parse::{self, Command, Line};
use crate::control::row::{Spec, Value};
use crate::control::table::TABLE;
use crate::pool::acl::Net;
use crate::pool::server::{Part, Server};
use crate::proxy::shared::{self, Pen};
use crate::settings::{self, Settings};
use crate::sys::Kind;
use crate::sys::files;
use crate::sys::message;
use crate::sys::text;
use std::fmt::{Display, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The greatest depth to which files include one another.
const DEPTH: usize = 16;

/// Complaints that are shown; further ones are counted. The same goes for notes.
const MESSAGES: usize = 100;

/// Most bytes of a file together with all files that it includes. A device that has
/// no end must not use up the memory.
const MOST: u64 = 16 << 20;

/// A function that takes a command and its position, or says what is wrong with it.
pub(crate) type Add<'a> = dyn FnMut(Command, &str) -> Result<(), String> + 'a;

/// Reads files and hands their commands over one by one. After a wrong line it reads
/// on, in order to complain about all wrong lines.
pub struct Reader<'a> {
    open: &'a Open<'a>,
    given: &'a [&'static str],
    add: &'a mut Add<'a>,
    /// The files that include the current one, the outermost first, and that itself.
    nesting: Vec<PathBuf>,
    /// How many more bytes may be read.
    left: u64,
    complaints: Messages,
    notes: Messages,
}

/// A function that reads a file, or fails if it has more than this number of bytes.
pub(crate) type Open<'a> = dyn Fn(&Path, u64) -> io::Result<Vec<u8>> + 'a;

/// Keeps the first [`MESSAGES`] lines and counts the others.
#[derive(Default)]
struct Messages {
    lines: Vec<String>,
    more: usize,
}

impl Messages {
    fn push(&mut self, text: String) {
        if self.lines.len() < MESSAGES { self.lines.push(text) } else { self.more += 1 }
    }

    fn lines(self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        self.lines.into_iter().chain(more).collect()
    }
}

impl<'a> Reader<'a> {
    /// Makes a reader. It skips commands whose values options have `given`.
    pub fn new(open: &'a Open<'a>, given: &'a [&'static str], add: &'a mut Add<'a>) -> Reader<'a> {
        Reader {
            open,
            given,
            add,
            nesting: Vec::new(),
            left: MOST,
            complaints: Messages::default(),
            notes: Messages::default(),
        }
    }

    /// Returns the notes about ignored words, or an error with a line for each complaint.
    pub fn finish(self) -> Result<Vec<String>, String> {
        let complaints = self.complaints.lines();
        if complaints.is_empty() { Ok(self.notes.lines()) } else { Err(complaints.join("\n")) }
    }

    /// Reads a file and the files that it includes.
    pub fn read(&mut self, path: &Path) {
        if let Err(why) = self.include(path) {
            self.complaints.push(why);
        }
    }

    fn include(&mut self, path: &Path) -> Result<(), String> {
        let shown = path.display();
        // The path of a pipe (`/dev/fd/3`) cannot be resolved.
        let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.nesting.contains(&file) {
            return Err(format!("{shown}: includes itself"));
        }
        if self.nesting.len() >= DEPTH {
            return Err(format!("{shown}: included too deep, {DEPTH} files at most"));
        }
        let text = (self.open)(path, self.left)
            .map_err(|e| format!("{shown}: cannot read the configuration: {e}"))?;
        self.left = self.left.saturating_sub(text.len() as u64);
        self.nesting.push(file);
        self.lines(path, &text);
        self.nesting.pop();
        Ok(())
    }

    /// Reads the text of a file. Complaints name it by `path`.
    pub fn lines(&mut self, path: &Path, text: &[u8]) {
        // Some editors put a byte order mark before the text.
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let position = || format!("{}, line {}: ", path.display(), index + 1);
            let result = match parse::parse(&String::from_utf8_lossy(line)) {
                Ok(None) => continue,
                Ok(Some(Line { command, ignored })) => {
                    if let Some(note) = ignored {
                        self.notes.push(position() + &note);
                    }
                    self.carry_out(command, &position())
                }
                Err(why) => Err(why),
            };
            if let Err(why) = result {
                self.complaints.push(position() + &why);
            }
        }
    }

    fn carry_out(&mut self, command: Command, position: &str) -> Result<(), String> {
        let name = match &command {
            Command::Include(path) => return self.include(path),
            Command::ClientsMax(Some(_)) => "clients_max",
            Command::ConnMax(Some(_)) => "conn_max",
            Command::Emergency(Some(_)) => "emergency",
            Command::Abuse(Some(_)) => "abuse",
            _ => "",
        };
        if self.given.contains(&name) { Ok(()) } else { (self.add)(command, position) }
    }
}

/// Saves the configuration to `path`, or else to the file of `-F`.
pub(crate) fn write(pen: &Pen, path: Option<&Path>) -> Outcome {
    let settings = pen.settings();
    let path = path.or(settings.config.as_deref());
    let path = path.ok_or("write: no file given, and pen was started without -F")?;
    files::replace(path, text(pen, &settings, path)?.as_bytes())
        .map_err(|e| format!("{}: cannot write the configuration: {e}", path.display()))?;
    Ok(String::new())
}

/// Returns the value of each command that has one, in the order of `write`.
pub(crate) fn values(pen: &Pen, settings: &Settings) -> Vec<(&'static Spec, Value)> {
    // A row reads its field through the function that also writes it.
    let mut settings = settings.clone();
    let values = TABLE.iter().map(|spec| (spec, spec.value_to_save(pen, &mut settings)));
    let values = values.filter_map(|(spec, value)| Some((spec, value?)));
    let mut values: Vec<_> = values.collect();
    // pen quirk: prio comes last.
    values.sort_by_key(|(spec, _)| spec.name == "prio");
    values
}

/// Makes the text of a configuration file. It begins with two comments: when pen wrote
/// it, and the command line that starts pen with it as the file `path`. The commands
/// follow. It fails if pen could not read one of them back.
pub fn text(pen: &Pen, settings: &Settings, path: &Path) -> Result<String, String> {
    let mut out = String::new();
    let now = message::timestamp(message::unix_time());
    let start = command_line(pen, settings, path);
    let _ = writeln!(out, "# Generated by pen {now}\n# {start}");
    for (number, acl) in settings.acls.iter().enumerate() {
        let _ = writeln!(out, "no acl {number}");
        for entry in acl.entries() {
            let verb = if entry.permit { "permit" } else { "deny" };
            let _ = match entry.net {
                Net::V4(ip, mask) => writeln!(out, "acl {number} {verb} {ip} {mask}"),
                Net::V6(ip, len) => writeln!(out, "acl {number} {verb} {ip}/{len}"),
            };
        }
    }
    for (spec, value) in values(pen, settings) {
        let name = spec.name;
        if let Value::Text(Some(text)) = &value {
            spec.words(text).try_for_each(|word| check_word(name, word))?;
        }
        let _ = match value {
            Value::Flag(true) => writeln!(out, "{name}"),
            Value::Number(number) => writeln!(out, "{name} {number}"),
            Value::Text(Some(text)) => writeln!(out, "{name} {text}"),
            Value::Text(None) if !spec.has_no() => continue,
            Value::Flag(false) | Value::Text(None) => writeln!(out, "no {name}"),
            Value::Servers => {
                let by_name = settings.keeps_names();
                let table = pen.servers.table();
                for (index, server) in table.servers.iter().enumerate() {
                    if matches!(server.part, Part::More(_)) {
                        continue;
                    }
                    check_word("address", &server.host_word(by_name))?;
                    let _ = writeln!(out, "{name} {index} {}", server.commands(by_name));
                }
                continue;
            }
        };
    }
    let longest = out.lines().map(str::len).max();
    if longest > Some(parse::LINE) {
        return Err(format!("write: a line longer than {} bytes", parse::LINE));
    }
    Ok(out)
}

/// Refuses a word that an option can set but a line cannot, because the words of a
/// line end at white space.
fn check_word(name: &str, word: &str) -> Result<(), String> {
    match word.split_whitespace().eq([word]) && !word.starts_with('#') {
        true => Ok(()),
        false => Err(format!(
            "write: {name} '{word}': a file can have no empty word, none with white space and \
             none that begins with #"
        )),
    }
}

/// Makes the command line that starts pen again with the file `path`. Scripts find its
/// words by their positions, so they are in the order of the C program.
fn command_line(pen: &Pen, settings: &Settings, path: &Path) -> String {
    let start = &settings.start;
    let clients = pen.with_clients(|clients| clients.max());
    let connections = pen.connections.max();
    let by_name = settings.keeps_names();
    let operand = |server: &Option<Server>| server.as_ref().map(|server| server.operand(by_name));
    let (emergency, abuse) = {
        let table = pen.servers.table();
        (operand(&table.emergency), operand(&table.abuse))
    };
    let quoted_path = |path: &PathBuf| quoted(&path.display().to_string());
    let listen = settings.listen.as_deref();
    let end = listen.filter(|word| word.starts_with('-')).map(|_| "--");
    let set = |on: bool| on.then(String::new);
    let words = [
        ("-U", set(start.kind == Kind::Datagram)),
        ("-f", set(start.foreground)),
        ("-X", set(settings.exit_enabled)),
        ("-c", unless(clients, shared::CLIENTS)),
        ("-e", emergency.as_deref().map(quoted_if_need_be)),
        ("-B", abuse.as_deref().map(quoted_if_need_be)),
        ("-j", start.jail.as_ref().map(quoted_path)),
        ("-p", start.pid_file.as_ref().map(quoted_path)),
        ("-u", start.user.as_deref().map(quoted)),
        ("-x", unless(connections, shared::CONNECTIONS)),
        ("-F", Some(quoted(&path.display().to_string()))),
        ("-C", settings.control.as_deref().map(quoted_if_need_be)),
    ];
    // The C program never writes these, so they are last unless `--` is there.
    let own = [
        ("-N", set(settings.forgetful)),
        ("-q", unless(settings.backlog, settings::BACKLOG)),
        ("--no-batch", set(!start.batch)),
        ("--no-sandbox", set(!start.sandbox)),
    ];
    let operand = [("", end.map(str::to_owned)), ("", listen.map(quoted_if_need_be))].into_iter();
    let words = words.into_iter();
    let words: Vec<_> = match end {
        None => words.chain(operand).chain(own).collect(),
        Some(_) => words.chain(own).chain(operand).collect(),
    };
    let words = words.iter().filter_map(|(option, value)| Some([*option, value.as_deref()?]));
    let words = words.flatten().filter(|word| !word.is_empty());
    let words: Vec<_> = ["pen"].into_iter().chain(words).collect();
    // A newline in a path would end the comment.
    text::printable(&words.join(" "))
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn quoted_if_need_be(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/.:-_[]%@+,=".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { quoted(word) }
}

/// Returns a value as text, unless it is the default.
fn unless<T: PartialEq + Display>(value: T, default: T) -> Option<String> {
    (value != default).then(|| value.to_string())
}
