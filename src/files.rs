//! Files that are written whole, safely in directories that others can write to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a whole file or leaves the old one: a temporary file beside it takes
/// its name. Where that is not permitted, or the name is a device or a pipe,
/// it is written in place. Links are not followed.
pub fn replace(path: &Path, data: &[u8]) -> io::Result<()> {
    let old = fs::symlink_metadata(path);
    if old
        .as_ref()
        .is_ok_and(|old| !old.is_file() && !old.is_symlink())
    {
        return OpenOptions::new().write(true).open(path)?.write_all(data);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let fresh = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary);
    let mut file = match fresh {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::PermissionDenied && old.is_ok() => {
            return in_place(path)?.write_all(data);
        }
        Err(e) => return Err(e),
    };
    let permissions = old
        .ok()
        .filter(|old| old.is_file())
        .map(|old| old.permissions());
    let result = file
        .write_all(data)
        .and_then(|()| permissions.map_or(Ok(()), |mode| file.set_permissions(mode)))
        .and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Opens a file to be written from its start, made if need be, not through a
/// link in its last part.
pub fn in_place(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(crate::sys::O_NOFOLLOW)
        .open(path)
}
