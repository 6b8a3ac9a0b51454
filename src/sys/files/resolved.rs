//! Where a path leads, and who else can change that.

use crate::sys;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The most links that are followed at the end of a path, as in Linux.
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

/// A path whose last name is no link, except for one that must not be followed.
pub(super) struct Resolved {
    /// The directory, without links.
    pub(super) dir: PathBuf,
    /// The directory and the name.
    pub(super) path: PathBuf,
    pub(super) writers: Writers,
    /// The directory's owner.
    pub(super) owner: u32,
}

impl Resolved {
    /// Follows the links of `path`, of which the last name need not exist. Fails
    /// if somebody else can exchange a directory on the way.
    pub(super) fn new(path: &Path) -> io::Result<Resolved> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
            let way = parent(&path);
            check_way(way)?;
            let dir = fs::canonicalize(way)?;
            // A link of root's may lead to where others can write.
            check_way(&dir)?;
            let meta = fs::metadata(&dir)?;
            let path_now = dir.join(name);
            let this = Resolved { dir, path: path_now, writers: writers(&meta), owner: meta.uid() };
            // The link is judged before it is read: what passes cannot be exchanged.
            let target = match this.link() {
                Some(link) if may_follow(this.writers, &link) && !this.is_in_proc() => {
                    fs::read_link(&this.path)?
                }
                _ => return Ok(this),
            };
            path = this.dir.join(target);
        }
        Err(io::Error::other("too many links"))
    }

    /// What is known of the name if it is a link.
    fn link(&self) -> Option<Metadata> {
        fs::symlink_metadata(&self.path).ok().filter(Metadata::is_symlink)
    }

    /// Whether the kernel alone knows what the name is (`/proc/self/fd/1`).
    pub(super) fn is_in_proc(&self) -> bool {
        self.dir.starts_with("/proc")
    }

    /// Fails if the name is a link that must not be followed.
    pub(super) fn refuse_link(&self) -> io::Result<()> {
        match self.link() {
            Some(link) if !self.is_in_proc() => Err(refusal(&self.path, &link)),
            _ => Ok(()),
        }
    }
}

/// Whether nobody but root and pen's user can put another file in place of one
/// of theirs at `path`, or another directory on the way to it.
pub(crate) fn is_fixed(path: &Path) -> bool {
    let is_changed =
        |dir: &Path| fs::metadata(dir).map_or(true, |meta| writers(&meta) == Writers::Others);
    Resolved::new(path).is_ok_and(|this| {
        matches!(this.writers, Writers::Trusted | Writers::Sticky)
            && !this.dir.ancestors().any(is_changed)
    })
}

/// Fails if another user has put a link there, on the way to a file or
/// as its directory; or a directory of another user is in a sticky directory, where
/// that user alone can exchange it. A directory that is in one of another
/// user's, or in one that all can write to without the sticky bit, passes: those
/// who name such a path trust those who can write there.
pub(super) fn check_way(dir: &Path) -> io::Result<()> {
    for part in dir.ancestors().filter(|part| part.file_name().is_some()) {
        let meta = fs::symlink_metadata(part)?;
        let within = writers(&fs::metadata(parent(part))?);
        let is_exchangeable = within == Writers::Sticky && !is_trusted(meta.uid());
        if is_exchangeable || meta.is_symlink() && !may_follow(within, &meta) {
            return Err(refusal(part, &meta));
        }
    }
    Ok(())
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

fn refusal(path: &Path, meta: &Metadata) -> io::Error {
    let what = if meta.is_symlink() { "link" } else { "directory" };
    let (path, uid) = (path.display(), meta.uid());
    io::Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "{path} is a {what} of user {uid} in a directory that others can write to: not followed"
        ),
    )
}

/// The directory that a path's last name is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(if path.has_root() {
        Path::new("/")
    } else {
        Path::new(".")
    })
}
