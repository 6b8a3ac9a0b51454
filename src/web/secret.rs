//! Who may control pen from the web: the password, the token that shows that a
//! request comes from pen's own page, and the names that pen goes by. Pure, but
//! for reading the file of the one and the random numbers of the other.

use super::request::cut;
use crate::sys;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most bytes of a password file.
const FILE: usize = 1024;

/// A user and the password.
#[derive(Debug)]
pub struct Secret {
    pub(super) user: String,
    /// `user:password` in base64, as browsers send it (RFC 7617).
    encoded: String,
    /// The file it is from, and when that was changed: seconds, nanoseconds.
    file: PathBuf,
    changed: (i64, i64),
}

impl Secret {
    /// Reads a file with one line, `user:password`, that its owner alone may
    /// read.
    pub(super) fn read(path: &Path) -> Result<Secret, String> {
        let cannot = |e: io::Error| format!("{}: cannot read the password: {e}", path.display());
        let mut file = open(path).map_err(cannot)?;
        let meta = file.metadata().map_err(cannot)?;
        if !meta.is_file() {
            return Err(format!("{}: cannot read the password: no regular file", path.display()));
        }
        let mode = meta.mode() & 0o7777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(format!("{path}: mode {mode:04o}, others may use it: chmod 600"));
        }
        let mut text = [0; FILE];
        let count = file.read(&mut text).map_err(cannot)?;
        let text = text.get(..count).unwrap_or_default();
        let parsed = std::str::from_utf8(text).ok().and_then(Secret::parse);
        let (user, encoded) = parsed.ok_or_else(|| {
            let path = path.display();
            format!("{path}: expected one line, user:password, below {FILE} bytes")
        })?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        Ok(Secret { user, encoded, file: path.to_owned(), changed })
    }

    /// The user, and the whole line in base64.
    fn parse(text: &str) -> Option<(String, String)> {
        let line = one_line(text)?;
        let (user, password) = cut(line, b':')?;
        let is_whole = text.len() < FILE && !user.is_empty() && !password.is_empty();
        is_whole.then(|| (user.to_owned(), base64(line.as_bytes())))
    }

    /// Whether it is what is in this file, as far as can be seen without the
    /// right to read it, which pen may have had at its start alone.
    pub(super) fn is_still_in(&self, path: &Path) -> bool {
        let is_denied = |e: io::Error| e.kind() == io::ErrorKind::PermissionDenied;
        let changed = |meta: Metadata| (meta.ctime(), meta.ctime_nsec()) != self.changed;
        self.file == path
            && open(path).is_err_and(is_denied)
            && !fs::metadata(path).is_ok_and(changed)
    }

    /// Whether a header field Authorization has it.
    pub(super) fn is_in(&self, field: &str) -> bool {
        let (scheme, given) = cut(field, b' ').unwrap_or_default();
        scheme.eq_ignore_ascii_case("basic") && same(given.trim_ascii(), &self.encoded)
    }
}

/// Without waiting for whoever could write to a pipe.
fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(sys::O_NONBLOCK).open(path)
}

/// A text that is one line, without its end.
pub(super) fn one_line(text: &str) -> Option<&str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    line.bytes().all(|byte| byte >= b' ' || byte == b'\t').then_some(line)
}

/// Whether two texts are the same. The time it takes says nothing about
/// `secret`: it depends on the length of `given` alone.
pub(super) fn same(given: &str, secret: &str) -> bool {
    let mut differ = given.len() ^ secret.len();
    let secret = secret.bytes().cycle();
    for (a, b) in given.bytes().zip(secret) {
        differ |= std::hint::black_box(usize::from(a ^ b));
    }
    differ == 0
}

/// RFC 4648, 4.
pub(super) fn base64(data: &[u8]) -> String {
    let digit = |group: u32, index: u32| {
        let value = (group >> (18 - 6 * index) & 63) as u8;
        char::from(match value {
            0..=25 => b'A' + value,
            26..=51 => b'a' + value - 26,
            52..=61 => b'0' + value - 52,
            62 => b'+',
            _ => b'/',
        })
    };
    let mut out = String::new();
    for chunk in data.chunks(3) {
        let bytes = chunk.iter().copied().chain([0, 0]).take(3);
        let group = bytes.fold(0, |sum, byte| sum << 8 | u32::from(byte));
        let digits = chunk.len() as u32 + 1;
        out.extend((0..digits).map(|index| digit(group, index)));
        out.extend((digits..4).map(|_| '='));
    }
    out
}

/// 128 random bits in hexadecimal.
pub(super) fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut token = String::new();
    for byte in bytes {
        let _ = write!(token, "{byte:02x}");
    }
    Ok(token)
}

/// Whether a Host is this pen's: an address, localhost, or the host in
/// `place`, which is what `web` was given. Any other name may have been made
/// to stand for this host by whoever owns it (DNS rebinding).
pub(super) fn is_ours(host: &str, place: &str) -> bool {
    let name = without_port(host);
    let own = without_port(place);
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4())
        || v6.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
        || name.eq_ignore_ascii_case("localhost")
        || (!name.is_empty() && name.eq_ignore_ascii_case(own))
}

fn without_port(host: &str) -> &str {
    let at = host.bytes().rposition(|byte| matches!(byte, b':' | b']'));
    match host.split_at_checked(at.unwrap_or(host.len())) {
        Some((name, port)) if port.starts_with(':') => name,
        _ => host,
    }
}

/// Whether a page of this origin is one of the pen at `host`. The other scheme
/// is for pens behind something that does TLS.
pub(super) fn is_from(origin: &str, host: &str) -> bool {
    let from = origin.strip_prefix("http://");
    let from = from.or_else(|| origin.strip_prefix("https://"));
    from.is_some_and(|from| from.eq_ignore_ascii_case(host))
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
    fn hosts_and_origins() {
        for (host, is_right) in [
            ("127.0.0.1", true),
            ("192.0.2.1:8081", true),
            ("[::1]:8081", true),
            ("[::1]", true),
            ("LocalHost:1", true),
            ("lb1.example:80", true),
            ("LB1.example", true),
            ("evil.example", false),
            ("lb1.example.evil:80", false),
            ("127.0.0.1.evil", false),
            ("[evil]", false),
            ("::1", false),
            ("", false),
            (":80", false),
        ] {
            assert_eq!(is_ours(host, "lb1.example:80"), is_right, "{host}");
        }
        assert!(!is_ours("", "/run/web") && !is_ours(":", ":80"));
        assert!(is_from("http://a:1", "a:1") && is_from("https://A", "a"));
        for origin in ["http://a:2", "null", "", "a:1", "ftp://a:1", "http://a:1/"] {
            assert!(!is_from(origin, "a:1"), "{origin}");
        }
    }
}
