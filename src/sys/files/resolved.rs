//! Where a path leads, and who else can change that.

use crate::sys;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The most links that are followed on one way, as in Linux.
const LINKS: usize = 40;

/// Who can change which file a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    /// Root and pen's user alone.
    Trusted,
    /// Others too, except for what belongs to root or pen's user (the sticky bit).
    Sticky,
    /// A group too. Its members could, and are trusted not to, move what belongs
    /// to root or pen's user.
    Group,
    /// Others, whatever it is.
    Others,
}

/// Whether pen trusts this user: root, the user as whom pen opens files, and the
/// owner of the root directory (who is root, as a user namespace shows it).
pub(super) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == sys::effective_user() || uid == know_root()
}

/// The owner of the root directory at the first call. The first call must come
/// before chroot.
pub(crate) fn know_root() -> u32 {
    static OWNER: OnceLock<u32> = OnceLock::new();
    *OWNER.get_or_init(|| fs::metadata("/").map_or(0, |meta| meta.uid()))
}

fn writers(dir: &Metadata) -> Writers {
    match dir.mode() {
        _ if !is_trusted(dir.uid()) => Writers::Others,
        mode if mode & 0o022 == 0 => Writers::Trusted,
        mode if mode & 0o1000 != 0 => Writers::Sticky,
        mode if mode & 0o002 == 0 => Writers::Group,
        _ => Writers::Others,
    }
}

/// A path without links, except for one at its end that is to be replaced.
pub(super) struct Resolved {
    /// The directory and the name.
    pub(super) path: PathBuf,
    /// Who can change the name.
    pub(super) writers: Writers,
    /// The directory's owner.
    pub(super) owner: u32,
    is_fixed: bool,
}

impl Resolved {
    /// Walks along `path`, of which the last name need not exist, and follows its
    /// links. Fails at a link that pen must not follow, except at the end of a path
    /// that `is_replaced`; or where a directory of another user is in a sticky
    /// directory, so that this user alone can exchange it. A directory that is in
    /// one of another user's, or in one that all can write to without the sticky
    /// bit, passes: those who name such a path trust those who can write there.
    pub(super) fn new(path: &Path, is_replaced: bool) -> io::Result<Resolved> {
        let mut dir = PathBuf::from("/");
        let mut rest = names(&std::path::absolute(path)?);
        let (mut links, mut is_fixed) = (0, true);
        while let Some(name) = rest.pop() {
            if name == ".." {
                dir.pop();
                continue;
            }
            let meta = fs::metadata(&dir)?;
            let (owner, writers) = (meta.uid(), writers(&meta));
            is_fixed &= writers != Writers::Others;
            let path = dir.join(name);
            let is_last = rest.is_empty();
            let part = match fs::symlink_metadata(&path) {
                Err(e) if is_last && e.kind() == ErrorKind::NotFound => None,
                part => Some(part?),
            };
            // In /proc the kernel alone knows what a name is (`self/fd/1`).
            let is_link =
                |part: &Metadata| part.is_symlink() && !(is_last && dir.starts_with("/proc"));
            match part {
                // A link is judged before it is read: what passes cannot be exchanged.
                Some(part) if is_link(&part) && may_follow(writers, &part) => {
                    links += 1;
                    if links > LINKS {
                        return Err(io::Error::other("too many links"));
                    }
                    let target = fs::read_link(&path)?;
                    if target.has_root() {
                        dir = PathBuf::from("/");
                    }
                    rest.extend(names(&target));
                }
                Some(part) if is_link(&part) && !(is_last && is_replaced) => {
                    return Err(refusal(&path, "link", &part));
                }
                _ if is_last => {
                    is_fixed &= writers != Writers::Group;
                    return Ok(Resolved { path, writers, owner, is_fixed });
                }
                Some(part) if writers == Writers::Sticky && !is_trusted(part.uid()) => {
                    return Err(refusal(&path, "directory", &part));
                }
                _ => dir = path,
            }
        }
        Err(ErrorKind::IsADirectory.into())
    }

    /// Whether the kernel alone knows what the name is (`/proc/self/fd/1`).
    pub(super) fn is_in_proc(&self) -> bool {
        self.path.starts_with("/proc")
    }
}

/// The names in a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.iter().filter(|name| *name != "/" && *name != ".");
    names.rev().map(OsString::from).collect()
}

/// Whether nobody but root and pen's user can put another file in place of one
/// of theirs at `path`, or another directory on the way to it.
pub(crate) fn is_fixed(path: &Path) -> bool {
    Resolved::new(path, false).is_ok_and(|this| this.is_fixed)
}

/// Whether a link in such a directory is one of root or pen's user. A second
/// name (hard link) of such a link may have been made by somebody else.
fn may_follow(within: Writers, link: &Metadata) -> bool {
    match within {
        Writers::Trusted => true,
        Writers::Sticky | Writers::Group => is_trusted(link.uid()) && link.nlink() == 1,
        Writers::Others => false,
    }
}

fn refusal(path: &Path, what: &str, meta: &Metadata) -> io::Error {
    let (path, uid) = (path.display(), meta.uid());
    denied(&format!("{path} is a {what} of user {uid}"), ": not followed")
}

/// An error about what somebody else may have put there.
pub(super) fn denied(what: &str, end: &str) -> io::Error {
    let why = format!("{what} in a directory that others can write to{end}");
    io::Error::new(ErrorKind::PermissionDenied, why)
}
