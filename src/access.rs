//! Who may control pen from the web interface: a user with a password, in a file
//! that its owner alone may read, and a token that shows that a request comes from
//! pen's own page.

use crate::sys::files;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long after a wrong password the next one is looked at, whoever sends it.
pub(crate) const PENALTY: Duration = Duration::from_secs(1);

/// Who may control pen from the web interface.
pub struct Access {
    /// The token that pen's own page sends with an action. It is made at the start,
    /// as the random numbers may be out of sight after chroot.
    pub(crate) token: Option<String>,
    secret: Mutex<Option<Arc<Secret>>>,
    /// When the next password is looked at.
    next_guess: Mutex<Instant>,
}

impl Default for Access {
    /// Nobody may.
    fn default() -> Access {
        let next_guess = Mutex::new(Instant::now());
        Access { token: token().ok(), secret: Mutex::default(), next_guess }
    }
}

impl Access {
    /// The password in a file, which is to be [`Access::protect`]ed with.
    pub(crate) fn secret_in(&self, file: &Path) -> Result<Arc<Secret>, String> {
        if let Some(secret) = self.secret().filter(|secret| secret.is_still_in(file)) {
            return Ok(secret);
        }
        if self.token.is_none() {
            return Err("web_password: no random numbers from /dev/urandom".to_owned());
        }
        Secret::read(file).map(Arc::new)
    }

    /// Allows control with this password alone, or not at all.
    pub(crate) fn protect(&self, secret: Option<Arc<Secret>>) {
        *crate::lock(&self.secret) = secret;
    }

    /// The password in force.
    pub(crate) fn secret(&self) -> Option<Arc<Secret>> {
        crate::lock(&self.secret).clone()
    }

    /// Whether a password is right, or the time when it can be looked at. After a
    /// wrong one no other is looked at for a second, so that many guesses at once
    /// find the password no sooner.
    pub(crate) fn judge(&self, is_right: impl FnOnce() -> bool) -> Result<bool, Instant> {
        let now = Instant::now();
        let mut next = crate::lock(&self.next_guess);
        if *next > now {
            return Err(*next);
        }
        let is_right = is_right();
        if !is_right {
            *next = now + PENALTY;
        }
        Ok(is_right)
    }
}

/// Most bytes of a password file.
const FILE: usize = 1024;

/// A user and the password.
#[derive(Debug)]
pub(crate) struct Secret {
    /// The user's name.
    pub(crate) user: String,
    /// `user:password` in base64, as browsers send it (RFC 7617).
    encoded: String,
    /// The file that it was read from, and when that was changed, in seconds and
    /// nanoseconds.
    file: PathBuf,
    changed: (i64, i64),
}

impl Secret {
    /// Reads a file with one line, `user:password`, that its owner alone may
    /// read.
    pub(crate) fn read(path: &Path) -> Result<Secret, String> {
        let cannot = |e: io::Error| format!("{}: cannot read the password: {e}", path.display());
        let mut file = files::open_regular(path).map_err(cannot)?;
        let meta = file.metadata().map_err(cannot)?;
        let (mode, shown) = (meta.mode() & 0o7777, path.display());
        if mode & 0o077 != 0 {
            return Err(format!("{shown}: mode {mode:04o}, others may use it: chmod 600"));
        }
        let mut text = [0; FILE];
        let count = file.read(&mut text).map_err(cannot)?;
        let text = text.get(..count).unwrap_or_default();
        let parsed = std::str::from_utf8(text).ok().and_then(Secret::parse);
        let (user, encoded) = parsed.ok_or_else(|| {
            format!("{shown}: expected one line, user:password, below {FILE} bytes")
        })?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        Ok(Secret { user, encoded, file: path.to_owned(), changed })
    }

    /// The user, and the whole line in base64.
    fn parse(text: &str) -> Option<(String, String)> {
        let line = one_line(text)?;
        let (user, password) = line.split_once(':')?;
        let is_whole = text.len() < FILE && !user.is_empty() && !password.is_empty();
        is_whole.then(|| (user.to_owned(), base64(line.as_bytes())))
    }

    /// Whether this file cannot be read any more, as pen may have had the right to
    /// only at its start, but has not changed since this password was read from it.
    pub(crate) fn is_still_in(&self, path: &Path) -> bool {
        let is_denied = |e: io::Error| e.kind() == io::ErrorKind::PermissionDenied;
        let changed = |meta: Metadata| (meta.ctime(), meta.ctime_nsec()) != self.changed;
        self.file == path
            && files::open_regular(path).is_err_and(is_denied)
            && !fs::metadata(path).is_ok_and(changed)
    }

    /// Whether the value of a header field Authorization has this password.
    pub(crate) fn is_in(&self, field: &str) -> bool {
        let (scheme, given) = field.split_once(' ').unwrap_or_default();
        scheme.eq_ignore_ascii_case("basic") && same(given.trim_ascii(), &self.encoded)
    }
}

/// Whether two texts are the same. The time it takes says nothing about
/// `secret`: it depends on the length of `given` alone.
pub(crate) fn same(given: &str, secret: &str) -> bool {
    let mut differ = given.len() ^ secret.len();
    let secret = secret.bytes().cycle();
    for (a, b) in given.bytes().zip(secret) {
        differ |= std::hint::black_box(usize::from(a ^ b));
    }
    differ == 0
}

/// Encodes in base64 (RFC 4648, 4).
fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in data.chunks(3) {
        let bytes = chunk.iter().copied().chain([0, 0]).take(3);
        let group = bytes.fold(0, |sum, byte| sum << 8 | usize::from(byte));
        for index in 0..4 {
            let digit = DIGITS.get(group >> (18 - 6 * index) & 63);
            let digit = digit.filter(|_| index <= chunk.len());
            out.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    out
}

/// 128 random bits in hexadecimal.
fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// A text that is one line, without its end.
pub(crate) fn one_line(text: &str) -> Option<&str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    line.bytes().all(|byte| byte >= b' ' || byte == b'\t').then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("~?~?\u{ff}", "fj9+P8O/"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_password_is_recognised() {
        // The example of RFC 7617, 2.
        let (user, encoded) = Secret::parse("Aladdin:open sesame\n").unwrap();
        assert_eq!(user, "Aladdin");
        let secret = Secret { user, encoded, file: PathBuf::new(), changed: (0, 0) };
        for (field, is_right) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", true),
            ("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ==", true),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=", false),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==QWxh", false),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==", false),
            ("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", false),
            ("Basic", false),
            ("Basic ", false),
            ("", false),
        ] {
            assert_eq!(secret.is_in(field), is_right, "{field}");
        }
    }

    #[test]
    fn password_files() {
        assert_eq!(Secret::parse("a:b:c\r\n").unwrap().0, "a");
        let long = format!("a:{}", "b".repeat(1022));
        for bad in ["", "a", ":b", "a:", "a:\n", "a:b\nc:d\n", "a:b\u{0}", &long] {
            assert!(Secret::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn tokens_differ() {
        let (a, b) = (token().unwrap(), token().unwrap());
        assert!(a.len() == 32 && a != b);
        assert!(same(&a, &a) && !same(&a, &b) && !same("", &a));
    }

    #[test]
    fn one_wrong_password_a_second() {
        let access = Access::default();
        assert_eq!([access.judge(|| true), access.judge(|| true)], [Ok(true); 2]);
        let start = Instant::now();
        assert_eq!(access.judge(|| false), Ok(false));
        let next = *crate::lock(&access.next_guess);
        assert!(next >= start + PENALTY);
        // Not even looked at.
        assert_eq!(access.judge(|| unreachable!()), Err(next));
        *crate::lock(&access.next_guess) = start;
        assert_eq!(access.judge(|| true), Ok(true));
    }
}
