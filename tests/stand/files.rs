//! Temporary directories, and bytes that can be recognised.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A directory of the test's own, removed with all that is in it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        loop {
            let count = COUNTER.fetch_add(1, Relaxed);
            let name = format!("pen-suite-{}-{count}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Dir(path),
                // Left by a run of long ago that was killed.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => panic!("{}: {e}", path.display()),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this text in it.
    pub(crate) fn put(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.file(name), text).unwrap();
        self.file(name)
    }

    /// What is in a file.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// A pipe.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let made = Command::new("mkfifo").arg(self.file(name)).status();
        assert!(made.unwrap().success());
        self.file(name)
    }

    /// Lets every user create files in it.
    pub(crate) fn open_to_all(self) -> Dir {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o777)).unwrap();
        self
    }

    /// The names of the files in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A prime, so that nothing that moves data in powers of two can lose or
/// repeat a piece and have the rest look right.
const PERIOD: usize = 65_521;

/// The endless stream number `stream`, from byte `at` on; at most 64 KiB.
pub(crate) fn pattern(stream: usize, at: u64, len: usize) -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let mut state = 1_u32;
        let mut period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                // A linear congruential generator; its high bits are random.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let again = period.clone();
        period.extend(again);
        period
    });
    let start = ((at + 7919 * stream as u64) % PERIOD as u64) as usize;
    &bytes[start..start + len.min(PERIOD)]
}

/// Whether `data` is what stream number `stream` has from byte `at` on.
pub(crate) fn same_pattern(stream: usize, at: u64, data: &[u8]) -> bool {
    let mut at = at;
    data.chunks(PERIOD).all(|chunk| {
        let same = chunk == pattern(stream, at, chunk.len());
        at += chunk.len() as u64;
        same
    })
}
