//! Makes a [`Command`] of a line, by the rows of [`super::table`]. It changes
//! nothing: [`super::transaction`] and [`super::commands`] carry commands out.

use crate::pool::acl::{self, Entry, Net};
use crate::pool::clients::Client;
use crate::pool::health::Admin;
use crate::proxy::checks::kinds;
use crate::proxy::state;
use crate::proxy_protocol::SendProxy;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

mod unknown;
use super::row::{Spec, Value};
use super::table::TABLE;
pub use unknown::ignored;

/// The longest line that is a command, in bytes.
pub(crate) const LINE: usize = 4095;

/// The clients that `forget` removes from the client table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// All clients.
    All,
    /// This client.
    Client(Client),
    /// The clients that were on this server.
    On(usize),
}

/// One change to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Index of its access list.
    Acl(usize),
    /// Host name, address or path; not resolved yet.
    Address(String),
    /// Port number, service name or `same`; not resolved yet.
    Port(String),
    /// Soft limit.
    Max(u32),
    /// Hard limit.
    Hard(u32),
    /// Seconds from now for which it gets no clients.
    Blacklist(u64),
    /// What an operator wants of it.
    Admin(Admin),
    /// Share in weight mode.
    Weight(u32),
    /// Rank in prio mode.
    Prio(i32),
    /// Port that checks use; 0 is the server's own.
    CheckPort(u16),
    /// PROXY header that it gets; `None` is what is set for all servers.
    SendProxy(Option<SendProxy>),
}

/// A control command with its arguments. Without its value (`None`), a command that
/// takes one shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Sets the field of this row.
    Set(&'static Spec, Value),
    /// Shows the field of this row.
    Show(&'static Spec),
    /// pen accepts it for the sake of old files, and does nothing.
    Nothing,
    /// `abuse`: where denied clients go.
    Abuse(Option<String>),
    /// `acl N permit|deny ...`
    AclAdd(usize, Entry),
    /// `no acl N`
    AclClear(usize),
    /// `clients_max`
    ClientsMax(Option<usize>),
    /// `close N`
    Close(usize),
    /// `conn_max`
    ConnMax(Option<usize>),
    /// `connection N`
    Connection(usize),
    /// `emergency`: the server of last resort.
    Emergency(Option<String>),
    /// `exit`
    Exit,
    /// `explain`: which server a client would get, from this port or 0.
    Explain(Client, u16),
    /// `forget`
    Forget(Whom),
    /// `help`
    Help,
    /// `idlers`
    Idlers(Option<usize>),
    /// `include FILE`
    Include(PathBuf),
    /// `pid`
    Pid,
    /// `recent N`, in seconds
    Recent(u64),
    /// `restart`
    Restart,
    /// `server N ...`
    Server(usize, Vec<Change>),
    /// `servers`
    Servers,
    /// `socket FD`
    Socket(i32),
    /// `status`
    Status,
    /// `tarpit_acl` without a value.
    TarpitAcl,
    /// `try`: a line to carry out and to say whether that was refused.
    Try(String),
    /// `write`
    Write(Option<PathBuf>),
}

/// The complaint about a line that is no command.
pub(super) enum Bad {
    /// This is wrong with its words; [`parse`] adds the command's name and arguments.
    Words(String),
    /// This is the whole complaint.
    Reply(String),
}

impl From<String> for Bad {
    fn from(why: String) -> Bad {
        Bad::Words(why)
    }
}

pub(super) type Parsed = Result<Command, Bad>;

/// The words behind a command's name, from which the command takes those it uses.
pub(super) struct Words<'a> {
    rest: std::slice::Iter<'a, &'a str>,
    /// `no` stands before the name.
    pub(super) no: bool,
    /// The words that the command has taken and does not use.
    ignored: Vec<&'a str>,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.rest.next().copied()
    }
}

/// A command, and a note about the rest of its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The command itself.
    pub command: Command,
    /// Names the words that the command does not use. pen quirk: pen carries it out
    /// without them.
    pub(crate) ignored: Option<String>,
}

/// Reads a line; an empty one gives `None`. A word that begins with `#` begins a
/// comment, and a first word that begins with `;` makes the whole line one.
pub fn parse(line: &str) -> Result<Option<Line>, String> {
    if line.len() > LINE {
        return Err(format!("line longer than {LINE} bytes"));
    }
    let words = words(line);
    if words.first().is_none_or(|first| first.starts_with(';')) {
        return Ok(None);
    }
    let Some((no, name, rest)) = name(&words) else {
        return Err("an HTTP request is no command".to_owned());
    };
    let Some(spec) = find(name) else {
        return match name.starts_with("ssl_") {
            true => Err("TLS is not built in".to_owned()),
            false => Err(unknown::no_such(name)),
        };
    };
    let Some(args) = spec.args(no) else {
        return Err(format!("no {name}: there is no such command"));
    };
    let prefix = if no { "no " } else { "" };
    let args = if args.is_empty() { "no argument" } else { args };
    let mut words = Words { rest: rest.iter(), no, ignored: Vec::new() };
    let command = spec.parse(&mut words).map_err(|bad| match bad {
        Bad::Reply(reply) => reply,
        Bad::Words(why) => format!("{prefix}{name}: {why}, expected {args}"),
    })?;
    words.ignored.extend(words.rest);
    let ignored = (!words.ignored.is_empty()).then(|| {
        let words = words.ignored.join(" ");
        format!("{prefix}{name}: '{words}' ignored, expected {args}")
    });
    Ok(Some(Line { command, ignored }))
}

/// Splits a line into its words, up to a comment.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().take_while(|word| !word.starts_with('#')).collect()
}

/// Returns whether `no` stands first, the name of the command, and the words after
/// it. An empty line gives `None`, and so does an HTTP request, which a page of a
/// hostile site can make a browser send.
fn name<'a, 'b>(words: &'b [&'a str]) -> Option<(bool, &'a str, &'b [&'a str])> {
    match words {
        [] => None,
        [.., last] if last.starts_with("HTTP/") => None,
        ["no", name, rest @ ..] => Some((true, name, rest)),
        [name, rest @ ..] => Some((false, name, rest)),
    }
}

/// Reads a command of this row with one argument. The argument may contain white
/// space, because it comes from the command line.
pub(crate) fn with(spec: &'static Spec, word: &str) -> Result<Command, String> {
    let words = [word];
    let mut words = Words { rest: words.iter(), no: false, ignored: Vec::new() };
    spec.parse(&mut words).map_err(|bad| match bad {
        Bad::Words(why) | Bad::Reply(why) => why,
    })
}

/// Finds the row of a command by its name.
pub(crate) fn find(name: &str) -> Option<&'static Spec> {
    // A binary search, because a file of nonsense has many names.
    TABLE.get(TABLE.binary_search_by(|spec| spec.name.cmp(name)).ok()?)
}

pub(super) fn not_built(what: &str) -> Parsed {
    Err(Bad::Reply(format!("{what} is not built in")))
}

/// Takes all words, whatever they are.
pub(super) fn nothing(words: &mut Words) -> Parsed {
    words.rest = [].iter();
    Ok(Command::Nothing)
}

pub(super) fn one<'a>(words: &mut Words<'a>) -> Result<&'a str, String> {
    words.next().ok_or_else(|| "argument missing".to_owned())
}

pub(super) fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("bad number '{word}'"))
}

/// Takes the next word, if there is one, as a number or whatever else `T` is.
pub(super) fn maybe<T: FromStr>(words: &mut Words) -> Result<Option<T>, String> {
    words.next().map(number).transpose()
}

pub(super) fn list(word: &str) -> Result<usize, String> {
    match number(word)? {
        list if list < acl::LISTS => Ok(list),
        list => Err(format!("no access list {list}")),
    }
}

/// pen quirk: the number of a list that does not exist stands for list 0.
pub(super) fn list_or_0(number: i64) -> u64 {
    u64::try_from(number).ok().filter(|list| *list < acl::LISTS as u64).unwrap_or(0)
}

pub(super) fn acl_entry(words: &mut Words) -> Parsed {
    let (number, verb, what) = (one(words)?, one(words)?, one(words)?);
    let permit = match verb {
        "permit" => true,
        "deny" => false,
        other => return Err(format!("'{other}' is neither permit nor deny").into()),
    };
    let number = list(number)?;
    if what == "country" {
        return not_built("acl country (GeoIP)");
    }
    let net = net(what, words.next())?;
    Ok(Command::AclAdd(number, Entry { permit, net }))
}

fn net(what: &str, mask: Option<&str>) -> Result<Net, String> {
    let (address, len) = match what.split_once('/') {
        Some((address, len)) => (address, Some(number::<u8>(len)?)),
        None => (what, None),
    };
    let address = acl::address(address).ok_or_else(|| format!("bad address '{what}'"))?;
    match (address, len, mask) {
        (IpAddr::V4(ip), None, None) => Ok(Net::V4(ip, [255; 4].into())),
        (IpAddr::V4(ip), None, Some(mask)) => Ok(Net::V4(ip, net_mask(what, mask)?)),
        (IpAddr::V4(ip), Some(len @ 0..=32), None) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            Ok(Net::V4(ip, mask.into()))
        }
        (IpAddr::V6(ip), None, None) => Ok(Net::V6(ip, 128)),
        (IpAddr::V6(ip), Some(len @ 0..=128), None) => Ok(Net::V6(ip, len)),
        (_, _, Some(extra)) => Err(format!("unexpected '{extra}'")),
        (_, Some(len), None) => Err(format!("bad length '{len}'")),
    }
}

/// Reads a mask, which is written as an address. A number from 1 to 32 could be
/// read as an address, too, but the user has meant a length.
fn net_mask(what: &str, word: &str) -> Result<Ipv4Addr, String> {
    match (acl::address(word), word.parse()) {
        (Some(IpAddr::V4(_)), Ok(len @ 1..=32_u8)) => {
            Err(format!("'{word}' is no mask; write {what}/{len}"))
        }
        (Some(IpAddr::V4(mask)), _) => Ok(mask),
        _ => Err(format!("bad mask '{word}'")),
    }
}

pub(super) fn server(words: &mut Words) -> Parsed {
    let index = number(one(words)?)?;
    if index >= SERVERS {
        return Err(format!("{index} is too high, {SERVERS} servers at most").into());
    }
    let mut all = Vec::new();
    while let Some(what) = words.next() {
        let value = words.next();
        let missing = || format!("{what}: value missing");
        let get = || value.ok_or_else(missing);
        all.push(match what {
            "acl" => Change::Acl(list(get()?)?),
            "address" => Change::Address(get()?.to_owned()),
            "port" => Change::Port(get()?.to_owned()),
            "max" => Change::Max(number(get()?)?),
            "hard" => Change::Hard(number(get()?)?),
            "blacklist" => Change::Blacklist(number(get()?)?),
            "weight" => Change::Weight(number(get()?)?),
            "prio" => Change::Prio(number(get()?)?),
            "check_port" => Change::CheckPort(number(get()?)?),
            "send_proxy" => Change::SendProxy(send_proxy(get()?)?),
            "state" => Change::Admin(admin(get()?)?),
            // pen quirk: an unknown word is ignored together with the word behind it.
            other => {
                words.ignored.extend([other].into_iter().chain(value));
                continue;
            }
        });
    }
    Ok(Command::Server(index, all))
}

/// The word behind `server N state`.
fn admin(word: &str) -> Result<Admin, String> {
    let admin = Admin::ALL.into_iter().find(|admin| admin.word() == word);
    admin.ok_or_else(|| format!("{word}: neither ready, drain, maint nor down"))
}

/// The word behind `server N send_proxy`.
fn send_proxy(word: &str) -> Result<Option<SendProxy>, String> {
    match (word, SendProxy::parse(word)) {
        ("default", _) => Ok(None),
        (_, None) => Err(format!("{word}: neither v1, v2, off nor default")),
        (_, send) => Ok(send),
    }
}

pub(super) fn idlers(words: &mut Words) -> Parsed {
    let wanted: Option<usize> = maybe(words)?;
    match wanted {
        Some(n) if n > MOST_IDLERS => Err(format!("{n} is too high, {MOST_IDLERS} at most").into()),
        _ => Ok(Command::Idlers(wanted)),
    }
}

/// Most connections without clients. Each of them has a thread.
const MOST_IDLERS: usize = 1000;

/// Most servers. Without a limit, a typing error could use up the memory.
const SERVERS: usize = 65_536;

pub(super) fn try_line(words: &mut Words) -> Parsed {
    let line = words.map(str::to_owned).collect::<Vec<_>>().join(" ");
    match line.split(' ').next() {
        Some("") | None => Err("argument missing".to_owned().into()),
        // Each level would take more of the stack.
        Some("try") => Err("unexpected 'try'".to_owned().into()),
        Some(_) => Ok(Command::Try(line)),
    }
}

pub(super) fn source(word: Option<&str>) -> Result<(), Bad> {
    match word {
        None => Err("argument missing".to_owned().into()),
        Some(word) if acl::address(word).is_some() => Ok(()),
        Some(word) => Err(Bad::Reply(format!("unable to set source address to '{word}'"))),
    }
}

/// Reads the local address of server connections. `None` lets the system choose.
pub(super) fn source_address(word: &str) -> Option<IpAddr> {
    acl::address(word).filter(|ip| !ip.is_unspecified())
}

/// Refuses a text for checks that has other escapes than those that it may have.
pub(super) fn escapes(word: Option<&str>) -> Result<(), Bad> {
    match word.is_none_or(|word| kinds::unescape(word).is_some()) {
        true => Ok(()),
        false => Err(r"bad text (escapes: \r \n \t \s \\ \xHH)".to_owned().into()),
    }
}

/// Refuses a text that is not a path with or without a status of HTTP.
pub(super) fn http_check(word: Option<&str>) -> Result<(), Bad> {
    match word.is_none_or(|word| kinds::http(word).is_some()) {
        true => Ok(()),
        false => Err("bad path or status".to_owned().into()),
    }
}

/// Refuses a word that does not mean a `T`. The word may be missing.
pub(super) fn read<T: FromStr>(word: Option<&str>) -> Result<(), Bad> {
    match word.filter(|word| word.parse::<T>().is_err()) {
        None => Ok(()),
        Some(word) => Err(format!("bad value '{word}'").into()),
    }
}

/// Refuses a file with a time that is none.
pub(super) fn state_file(word: Option<&str>) -> Result<(), Bad> {
    match word.is_none_or(|word| state::place(word).is_some()) {
        true => Ok(()),
        false => Err("bad number of seconds".to_owned().into()),
    }
}

/// Refuses a word that is not one of `words`. The word may be missing.
pub(super) fn among(word: Option<&str>, words: &[&str]) -> Result<(), Bad> {
    match word.filter(|word| !words.contains(word)) {
        None => Ok(()),
        Some(word) => Err(format!("unknown word '{word}'").into()),
    }
}

pub(super) fn forget(words: &mut Words) -> Parsed {
    let whom = match words.next() {
        None => Whom::All,
        Some("server") => Whom::On(number(one(words)?)?),
        Some(word) => Whom::Client(client(word)?),
    };
    Ok(Command::Forget(whom))
}

pub(super) fn explain(words: &mut Words) -> Parsed {
    let word = one(words)?;
    let client = match client(word)? {
        Client::Net(..) => return Err(format!("bad address '{word}'").into()),
        client => client,
    };
    Ok(Command::Explain(client, maybe(words)?.unwrap_or(0)))
}

fn client(word: &str) -> Result<Client, String> {
    word.parse().map_err(|()| format!("bad address '{word}'"))
}

#[cfg(test)]
mod tests;
