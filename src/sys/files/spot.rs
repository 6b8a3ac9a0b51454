//! The way to a file, directory by directory.

use crate::sys;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

/// Most links on the way, as in Linux.
const LINKS: usize = 40;

/// Who can change which file a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Root and pen's user alone.
    Own,
    /// Others, too, but for the files of root and pen's user (the sticky bit).
    Sticky,
    /// A group, too, whose members are trusted not to move what root has put
    /// there while pen looks.
    Group,
    /// Others.
    Others,
}

/// Whether nothing bad is to be expected from this user: root, the one as whom
/// pen opens files, and whoever owns the root directory (root, as a user
/// namespace shows it).
pub(super) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == sys::effective_user() || uid == know_root()
}

/// Who owns the root directory, as it was when this was asked first: ask before
/// it is changed.
pub fn know_root() -> u32 {
    static OWNER: OnceLock<u32> = OnceLock::new();
    *OWNER.get_or_init(|| fs::metadata("/").map_or(0, |meta| meta.uid()))
}

fn reach(dir: &Metadata) -> Reach {
    const STICKY: u32 = 0o1000;
    match dir.mode() {
        _ if !is_trusted(dir.uid()) => Reach::Others,
        mode if mode & 0o022 == 0 => Reach::Own,
        mode if mode & STICKY != 0 => Reach::Sticky,
        mode if mode & 0o002 == 0 => Reach::Group,
        _ => Reach::Others,
    }
}

/// A name in an open directory.
pub struct Spot {
    /// The directory.
    pub(super) dir: File,
    /// The name.
    pub(super) name: OsString,
    reach: Reach,
    owner: u32,
    /// No name on the way here could be changed by others.
    steady: bool,
    /// The way here, without links; for looking alone.
    here: PathBuf,
    /// The name is a link that was not followed, and why.
    strange: Option<String>,
    /// What the name is, the kernel alone knows (`/proc/self/fd/1`).
    magic: bool,
}

impl Spot {
    /// Goes to where `path` leads. Links are followed where nobody but root and
    /// pen's user can have made them; an error names the one that was not. The
    /// last part of the path need not exist, and may be a link not followed.
    pub fn find(path: &Path) -> io::Result<Spot> {
        let mut parts = Vec::new();
        let mut spot = Spot::start(path, &mut parts)?;
        let mut links = 0;
        while let Some(part) = parts.pop() {
            let is_last = parts.is_empty();
            let way = match is_last {
                true => Err(ErrorKind::NotADirectory.into()),
                false => sys::open_at(&spot.dir, &part, sys::O_SEARCH_DIR, 0),
            };
            let why = match way {
                Ok(dir) => {
                    spot.enter(dir, &part)?;
                    continue;
                }
                Err(e) => e,
            };
            let target = match fs::read_link(spot.here.join(&part)) {
                Ok(target) => target,
                Err(_) if is_last => {
                    spot.name = part;
                    return Ok(spot);
                }
                Err(_) => return Err(why),
            };
            spot.magic = is_last && spot.here.starts_with("/proc");
            let refused = spot.refuses(&part, &target).err();
            if spot.magic || (is_last && refused.is_some()) {
                spot.strange = refused.filter(|_| !spot.magic);
                spot.name = part;
                return Ok(spot);
            }
            if let Some(why) = refused {
                return Err(denied(why));
            }
            links += 1;
            if links > LINKS {
                return Err(io::Error::other("too many links"));
            }
            if target.is_absolute() {
                spot = Spot::start(&target, &mut parts)?;
            } else {
                push(&target, &mut parts);
            }
        }
        // A path of no name: "/", ".", or one that ends so.
        Err(ErrorKind::IsADirectory.into())
    }

    /// The directory where `path` begins; its parts, last first, go to `parts`.
    fn start(path: &Path, parts: &mut Vec<OsString>) -> io::Result<Spot> {
        let here = PathBuf::from(if path.is_absolute() { "/" } else { "." });
        push(path, parts);
        let mut options = OpenOptions::new();
        let dir = options.read(true).custom_flags(sys::O_SEARCH_DIR);
        let dir = dir.open(&here)?;
        let meta = dir.metadata()?;
        Ok(Spot {
            dir,
            name: OsString::new(),
            reach: reach(&meta),
            owner: meta.uid(),
            steady: true,
            here,
            strange: None,
            magic: false,
        })
    }

    fn enter(&mut self, dir: File, part: &OsStr) -> io::Result<()> {
        let meta = dir.metadata()?;
        // What others own in a sticky directory they can exchange.
        self.steady &= match self.reach {
            Reach::Own => true,
            Reach::Sticky | Reach::Group => is_trusted(meta.uid()),
            Reach::Others => part == "..",
        };
        self.reach = reach(&meta);
        self.owner = meta.uid();
        self.dir = dir;
        self.here.push(part);
        Ok(())
    }

    /// Whether a link to `target` is to be followed; why not, if not.
    fn refuses(&self, name: &OsStr, target: &Path) -> Result<(), String> {
        let path = self.here.join(name);
        let shown = path.display();
        let cannot = |e: io::Error| format!("{shown}: {e}");
        let before = fs::symlink_metadata(&path).map_err(cannot)?;
        let is_ours = match (self.steady, self.reach) {
            (true, Reach::Own) => true,
            // A second name would be one that somebody else has given it.
            (true, Reach::Sticky | Reach::Group) => is_trusted(before.uid()) && before.nlink() == 1,
            _ => false,
        };
        if !is_ours {
            let uid = before.uid();
            return Err(format!(
                "{shown} is a link of user {uid} in a directory that others can write to"
            ));
        }
        // Was it this one that was read?
        let same = fs::read_link(&path).is_ok_and(|again| again == target);
        let after = fs::symlink_metadata(&path).map_err(cannot)?;
        let identity = |meta: &Metadata| (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec());
        match same && identity(&before) == identity(&after) {
            true => Ok(()),
            false => Err(format!("{shown} is a link that is being changed")),
        }
    }

    /// Fails if the name is a link that was not followed.
    pub(super) fn is_no_strange_link(&self) -> io::Result<()> {
        match &self.strange {
            None => Ok(()),
            Some(why) => Err(denied(why.clone())),
        }
    }

    /// Opens it, or makes it with this mode; a link put there in the meantime
    /// is an error.
    pub(super) fn open(&self, flags: i32, mode: u32) -> io::Result<File> {
        let stay = if self.magic { 0 } else { sys::O_NOFOLLOW };
        sys::open_at(&self.dir, &self.name, flags | stay, mode)
    }

    /// What is there now. For a choice that harms nobody if it is wrong: others
    /// may change it at any moment.
    pub(super) fn look(&self) -> Option<Metadata> {
        fs::symlink_metadata(self.here.join(&self.name)).ok()
    }

    /// Whether nobody but root and pen's user can write to the directory.
    pub(super) fn is_own(&self) -> bool {
        self.reach == Reach::Own
    }

    /// Who owns the directory.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    /// Whether the kernel alone knows what the name is.
    pub(super) fn leaves_to_kernel(&self) -> bool {
        self.magic
    }

    /// Whether a file of pen's user under this name, and the way to it, stay as
    /// they are whatever others do.
    pub fn is_fixed(&self) -> bool {
        self.steady && matches!(self.reach, Reach::Own | Reach::Sticky)
    }

    /// Whether it is a file with just these bytes in it.
    pub fn has(&self, bytes: &[u8]) -> bool {
        let mut text = vec![0; bytes.len() + 1];
        let file = self.open(sys::O_NONBLOCK, 0);
        let count = file.and_then(|mut file| file.read(&mut text));
        count.is_ok_and(|count| text.get(..count) == Some(bytes))
    }

    /// Removes the name, whatever it is then, unless it is a directory's.
    pub fn remove(&self) -> io::Result<()> {
        sys::remove_in(&self.dir, &self.name)
    }
}

/// Puts the parts of a path on top, so that the first comes off first.
fn push(path: &Path, parts: &mut Vec<OsString>) {
    let all = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.extend(all);
}

fn denied(why: String) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, format!("{why}: not followed"))
}
