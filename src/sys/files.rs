//! Files that are written, safely in directories that others can write to.
//!
//! Those who can write to a directory can put there, under the name of a file
//! that pen is about to write, a link to somebody else's file, a second name of
//! one, or a pipe that nobody reads. So pen follows a link there only if root or
//! pen's user made it ([`resolved`]), opens the file without following any
//! (`O_NOFOLLOW`), and looks at what it has opened before it writes.

use crate::sys;
use resolved::{Resolved, Writers, denied, is_trusted};
use std::collections::hash_map::RandomState;
use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod resolved;
pub(crate) use resolved::{is_fixed, know_root};

/// How long the reader of a pipe may take for a whole report.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens a file to read it. A pipe is an error, and its writer is not waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(sys::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Reads a file of at most `most` bytes. If it has to be `regular`, see
/// [`open_regular`].
pub(crate) fn read(path: &Path, regular: bool, most: u64) -> io::Result<Vec<u8>> {
    let file = if regular { open_regular(path)? } else { File::open(path)? };
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
pub(crate) fn append(path: &Path, may_wait: bool) -> io::Result<File> {
    let already = match path.to_str() {
        Some("/dev/stdout" | "/dev/fd/1") => Some(io::stdout().as_fd().try_clone_to_owned()),
        Some("/dev/stderr" | "/dev/fd/2") => Some(io::stderr().as_fd().try_clone_to_owned()),
        _ => None,
    };
    if let Some(file) = already {
        return file.map(File::from);
    }
    let file = open_or_make(&Resolved::new(path, false)?, true, LOG_MODE, may_wait)?;
    // Opened without waiting; written to like any file.
    let socket = UnixStream::from(OwnedFd::from(file));
    let _ = socket.set_nonblocking(false);
    Ok(File::from(OwnedFd::from(socket)))
}

/// Opens a file to be written from its start, makes it if need be, and returns
/// its path without links, too.
pub(crate) fn in_place(path: &Path) -> io::Result<(PathBuf, File)> {
    let resolved = Resolved::new(path, false)?;
    let file = open_or_make(&resolved, false, MODE, true)?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok((resolved.path, file))
}

/// Opens it without waiting, except for the reader of a pipe that nobody but root
/// and pen's user can have made, if it `may_wait`.
fn open_or_make(at: &Resolved, append: bool, mode: u32, may_wait: bool) -> io::Result<File> {
    let open = |create: bool, flags: i32| {
        let flags = if at.is_in_proc() { flags } else { flags | sys::O_NOFOLLOW };
        let mut options = OpenOptions::new();
        options.write(true).append(append).create(create).mode(mode).custom_flags(flags);
        options.open(&at.path)
    };
    let is_ours = at.writers == Writers::Trusted;
    let file = match open(false, sys::O_NONBLOCK) {
        Err(e) if e.kind() == ErrorKind::NotFound => open(true, sys::O_NONBLOCK),
        Err(e) if e.raw_os_error() == Some(sys::ENXIO) && may_wait && is_ours => open(false, 0),
        result => result,
    }?;
    if !is_ours {
        check(at, &file.metadata()?)?;
    }
    Ok(file)
}

/// Whether what was opened is what it seems to be: in a directory that others
/// can write to, it has to belong to root, to pen's user or to the directory's
/// owner, and must have no other name elsewhere.
fn check(at: &Resolved, meta: &Metadata) -> io::Result<()> {
    let uid = meta.uid();
    let what = if !is_trusted(uid) && uid != at.owner {
        format!("it belongs to user {uid}")
    } else if meta.is_file() && meta.nlink() > 1 {
        "it has another name (hard link)".to_owned()
    } else {
        return Ok(());
    };
    Err(denied(&(what + ","), ""))
}

/// Writes a whole file or leaves the old one: a temporary file beside it takes
/// its name, whatever others have put there. Where that is not permitted, or
/// the name is a device or a pipe, it is written in place.
pub(crate) fn replace(path: &Path, data: &[u8]) -> io::Result<()> {
    let at = Resolved::new(path, true)?;
    // Of what another user has put there nothing is kept.
    let is_ours = |uid| at.writers == Writers::Trusted || is_trusted(uid);
    let old = fs::symlink_metadata(&at.path).ok();
    let is_special = old.as_ref().is_some_and(|old| {
        let is_other = !old.is_file() && !old.is_dir() && !old.is_symlink();
        is_other && (is_ours(old.uid()) || old.uid() == at.owner)
    });
    if is_special || at.is_in_proc() {
        return write_within(PATIENCE, open_or_make(&at, false, MODE, false)?, data);
    }
    let mode = old.as_ref().filter(|old| old.is_file() && is_ours(old.uid())).map(Metadata::mode);
    match write_beside(&at, MODE, mode, &mut |file| file.write_all(data)) {
        // A directory of others, or the file has been mounted there by itself.
        Err(e)
            if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ResourceBusy)
                && old.is_some_and(|old| !old.is_symlink()) =>
        {
            in_place(path)?.1.write_all(data)
        }
        result => result,
    }
}

/// Has `write` write a whole regular file, and leaves the old one if that fails. What
/// is in it concerns others as little as a log does.
pub(crate) fn rewrite(
    path: &Path,
    write: &mut dyn FnMut(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let at = Resolved::new(path, true)?;
    let old = fs::symlink_metadata(&at.path).ok();
    let old = old.filter(|old| old.is_file() && is_trusted(old.uid()));
    write_beside(&at, LOG_MODE, old.as_ref().map(Metadata::mode), write)
}

/// Whether the directory and the rights for [`rewrite`] are there.
pub(crate) fn can_rewrite(path: &Path) -> io::Result<()> {
    let (temporary, _) = make_beside(&Resolved::new(path, true)?, LOG_MODE)?;
    fs::remove_file(temporary)
}

/// Makes a new file, under a name that nobody can guess and take.
fn make_beside(at: &Resolved, mode: u32) -> io::Result<(PathBuf, File)> {
    let number = RandomState::new().build_hasher().finish();
    let temporary = at.path.with_file_name(format!(".pen-{number:016x}.tmp"));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(&temporary)?;
    Ok((temporary, file))
}

/// Writes a new file and renames it. It has the mode `old` if there was an old one.
fn write_beside(
    at: &Resolved,
    mode: u32,
    old: Option<u32>,
    write: &mut dyn FnMut(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let (temporary, mut file) = make_beside(at, mode)?;
    let mode = old.map(|mode| PermissionsExt::from_mode(mode & 0o777));
    let result = write(&mut file)
        // Or else a crash of the system may leave the new name on an empty file.
        .and_then(|()| file.sync_data())
        .and_then(|()| mode.map_or(Ok(()), |mode| file.set_permissions(mode)))
        .and_then(|()| fs::rename(&temporary, &at.path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Writes to what does not take everything at once, such as a pipe.
fn write_within(limit: Duration, mut file: File, mut data: &[u8]) -> io::Result<()> {
    let end = Instant::now() + limit;
    while !data.is_empty() {
        if !sys::wait_writable(&file, end.saturating_duration_since(Instant::now()))? {
            return Err(ErrorKind::TimedOut.into());
        }
        let count = file.write(data)?;
        data = data.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Removes a file, unless another user can have exchanged a directory on the way.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    Resolved::new(path, true)?;
    fs::remove_file(path)
}

/// Which file it is, whatever name it has: its device's number and its own.
pub(crate) fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

#[cfg(test)]
mod tests;
