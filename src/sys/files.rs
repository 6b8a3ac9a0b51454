//! Files that are written, safely in directories that others can write to.
//!
//! Whoever can write to a directory can put there, under the name of a file
//! that pen is about to write, a link to a file of somebody else's, a second
//! name of one, or a pipe that nobody reads; or exchange a directory on the way
//! for a link. So nothing is opened by its whole path: [`spot`] goes there
//! directory by directory and follows the links that nobody but root and pen's
//! user can have made; and what was opened is looked at before it is written.

use crate::sys;
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

pub mod spot;
use spot::is_trusted;
pub use spot::{Spot, know_root};

/// How often something is tried again that others undo at the same moment.
const ATTEMPTS: usize = 16;
/// How long the reader of a pipe may take for a whole report.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads a file of at most so many bytes. Does not wait for whoever writes to a
/// pipe if it has to be `regular`.
pub fn read(path: &Path, regular: bool, most: u64) -> io::Result<Vec<u8>> {
    let flags = if regular { sys::O_NONBLOCK } else { 0 };
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if regular && !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        let why = format!("longer than {most} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

/// The mode of files that pen makes: the owner may write, everybody may read.
const MODE: u32 = 0o644;
/// The mode of logs that pen makes. They have in them what clients send, which
/// is passwords in IMAP, LDAP and some requests of HTTP.
const LOG_MODE: u32 = 0o640;

/// Opens a log to be written at its end, made if need be for the owner to write
/// and the group to read. A pipe that nobody reads is waited for if it
/// `may_wait`: at the start, where nothing else is held up by that. Standard
/// output and standard error are not opened again: what else is written there
/// must not begin at an offset of its own.
pub fn append(path: &Path, may_wait: bool) -> io::Result<File> {
    let own = match path.to_str() {
        Some("/dev/stdout" | "/dev/fd/1") => Some(io::stdout().as_fd().try_clone_to_owned()),
        Some("/dev/stderr" | "/dev/fd/2") => Some(io::stderr().as_fd().try_clone_to_owned()),
        _ => None,
    };
    if let Some(own) = own {
        return own.map(File::from);
    }
    let spot = Spot::find(path)?;
    let file = open_or_make(&spot, sys::O_APPEND, LOG_MODE, may_wait)?;
    // Opened without waiting; written to like any file.
    let socket = UnixStream::from(OwnedFd::from(file));
    let _ = socket.set_nonblocking(false);
    Ok(File::from(OwnedFd::from(socket)))
}

/// Opens a file to be written from its start, made if need be, and says where
/// it is.
pub fn in_place(path: &Path) -> io::Result<(Spot, File)> {
    let spot = Spot::find(path)?;
    let file = open_or_make(&spot, 0, MODE, true)?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok((spot, file))
}

/// Opens it without waiting; a pipe that nobody but root and pen's user can have
/// made is waited for until somebody reads it, as ever, if it `may_wait`.
fn open_or_make(spot: &Spot, how: i32, mode: u32, may_wait: bool) -> io::Result<File> {
    spot.is_no_strange_link()?;
    let how = how | sys::O_WRONLY;
    for _ in 0..ATTEMPTS {
        match spot.open(how | sys::O_NONBLOCK, 0) {
            Ok(file) => return check(spot, &file).map(|_| file),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                match spot.open(how | sys::O_CREAT | sys::O_EXCL, mode) {
                    Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                    result => return result,
                }
            }
            Err(e) if e.raw_os_error() == Some(sys::ENXIO) && may_wait && spot.is_own() => {
                return spot.open(how, 0);
            }
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("it comes and goes"))
}

/// Whether what was opened is what it seems to be: in a directory that others
/// can write to, it has to belong to root, to pen's user or to the directory's
/// owner, and must have no other name elsewhere.
fn check(spot: &Spot, file: &File) -> io::Result<Metadata> {
    let meta = file.metadata()?;
    if spot.is_own() {
        return Ok(meta);
    }
    let refuse = |why| Err(io::Error::new(ErrorKind::PermissionDenied, why));
    if !is_trusted(meta.uid()) && meta.uid() != spot.owner() {
        let uid = meta.uid();
        return refuse(format!(
            "it belongs to user {uid}, in a directory that others can write to"
        ));
    }
    if meta.is_file() && meta.nlink() > 1 {
        let why = "it has another name (hard link), in a directory that others can write to";
        return refuse(why.to_owned());
    }
    Ok(meta)
}

/// Writes a whole file or leaves the old one: a temporary file beside it takes
/// its name, whatever others have put there. Where that is not permitted, or
/// the name is a device or a pipe, it is written in place.
pub fn replace(path: &Path, data: &[u8]) -> io::Result<()> {
    let spot = Spot::find(path)?;
    // Only looked at; nothing there and a strange link are the same.
    let old = spot.look().filter(|old| !old.is_symlink());
    if spot.leaves_to_kernel() || old.as_ref().is_some_and(|old| is_special(&spot, old)) {
        let file = open_or_make(&spot, 0, MODE, false)?;
        return write_within(PATIENCE, file, data);
    }
    match write_beside(&spot, old.as_ref(), data) {
        // A directory of others, or the file has been mounted there by itself.
        Err(e)
            if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ResourceBusy)
                && old.is_some() =>
        {
            in_place(path)?.1.write_all(data)
        }
        result => result,
    }
}

/// A device or a pipe that is to be written to.
fn is_special(spot: &Spot, old: &Metadata) -> bool {
    let is_ours = spot.is_own() || is_trusted(old.uid()) || old.uid() == spot.owner();
    !old.is_file() && !old.is_dir() && is_ours
}

fn write_beside(spot: &Spot, old: Option<&Metadata>, data: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = temporary(spot)?;
    // Of a file that another one has put there the mode is his, too.
    let mode = old
        .filter(|old| old.is_file() && (spot.is_own() || is_trusted(old.uid())))
        .map(|old| PermissionsExt::from_mode(old.mode() & 0o777));
    let result = file
        .write_all(data)
        // Or else a crash of the system may leave the new name on an empty file.
        .and_then(|()| file.sync_data())
        .and_then(|()| mode.map_or(Ok(()), |mode| file.set_permissions(mode)))
        .and_then(|()| sys::rename_in(&spot.dir, &temporary, &spot.name));
    if result.is_err() {
        let _ = sys::remove_in(&spot.dir, &temporary);
    }
    result
}

/// A new file beside it, with a name that nobody can guess and take.
fn temporary(spot: &Spot) -> io::Result<(OsString, File)> {
    let mut result = Err(ErrorKind::AlreadyExists.into());
    for _ in 0..ATTEMPTS {
        let number = RandomState::new().build_hasher().finish();
        let name = OsString::from(format!(".pen-{number:016x}.tmp"));
        let flags = sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL | sys::O_NOFOLLOW;
        result = sys::open_at(&spot.dir, &name, flags, MODE).map(|file| (name, file));
        if !matches!(&result, Err(e) if e.kind() == ErrorKind::AlreadyExists) {
            break;
        }
    }
    result
}

/// Writes to what does not take everything at once, for so long at most.
fn write_within(limit: Duration, mut file: File, mut data: &[u8]) -> io::Result<()> {
    let end = Instant::now() + limit;
    while !data.is_empty() {
        match file.write(data) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => data = data.get(count..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let left = end.saturating_duration_since(Instant::now());
                if !sys::wait_writable(&file, left)? {
                    return Err(ErrorKind::TimedOut.into());
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
