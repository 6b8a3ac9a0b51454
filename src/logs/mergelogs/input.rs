//! Reads a log line by line, in bounded memory however long the lines are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// This file name stands for standard input.
pub(super) const STDIN: &str = "-";

/// Longest part of a line that is held in memory, in bytes. The rest of a
/// longer line is copied piece by piece.
pub(super) const HELD: usize = 64 * 1024;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;

/// A log that is being read, and its current line.
pub(super) struct Input {
    /// Its name, as the command line has it.
    pub(super) name: String,
    reader: BufReader<Box<dyn Read>>,
    /// The current line without its newline, up to [`HELD`] bytes of it.
    pub(super) line: Vec<u8>,
    /// The current line is longer than `line`.
    more: bool,
}

/// Opens a file, or standard input for the name `-`.
pub(super) fn open(name: &str) -> io::Result<Box<dyn Read>> {
    Ok(match name {
        STDIN => Box::new(io::stdin()),
        name => Box::new(File::open(name)?),
    })
}

impl Input {
    /// Opens a log with `open`. The error names the log and the OS error.
    pub(super) fn open(name: &str, open: &super::OpenLog) -> Result<Input, String> {
        let reader = open(name).map_err(|e| format!("{name}: cannot open: {e}"))?;
        Ok(Input::new(name, reader))
    }

    pub(super) fn new(name: &str, reader: Box<dyn Read>) -> Input {
        Input {
            name: name.to_owned(),
            reader: BufReader::with_capacity(BUFFER, reader),
            line: Vec::new(),
            more: false,
        }
    }

    /// Goes to the next line. Returns `false` at the end of the log.
    pub(super) fn next(&mut self) -> Result<bool, String> {
        if self.more {
            let skipped = self.reader.skip_until(b'\n');
            skipped.map_err(|e| self.complaint(&e))?;
        }
        self.read()
    }

    /// The next piece of a line that is longer than [`HELD`], or `None` at its
    /// end.
    pub(super) fn next_piece(&mut self) -> Result<Option<&[u8]>, String> {
        Ok((self.more && self.read()?).then_some(&self.line))
    }

    /// Reads a line, or a piece of one if it is long. Returns `false` at the
    /// end of the log.
    fn read(&mut self) -> Result<bool, String> {
        self.line.clear();
        self.more = false;
        let mut piece = self.reader.by_ref().take(HELD as u64);
        let count = piece.read_until(b'\n', &mut self.line);
        let count = count.map_err(|e| self.complaint(&e))?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else {
            self.more = count == HELD;
            // A CR stays a CR only at the end of a line.
            if let (true, Some(last @ b'\r')) = (self.more, self.line.last_mut()) {
                *last = b'.';
            }
        }
        Ok(count > 0)
    }

    fn complaint(&self, e: &io::Error) -> String {
        format!("{}: cannot read: {e}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &[u8]) -> Input {
        Input::new("text", Box::new(io::Cursor::new(text.to_vec())))
    }

    fn lines(text: &[u8]) -> Vec<String> {
        let mut input = input(text);
        let mut lines = Vec::new();
        while input.next().unwrap() {
            lines.push(String::from_utf8(input.line.to_vec()).unwrap());
        }
        assert!(!input.next().unwrap(), "the end stays");
        lines
    }

    #[test]
    fn lines_come_without_their_end() {
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(b"\n"), [""]);
        assert_eq!(lines(b"a\n\nb\r\nc"), ["a", "", "b\r", "c"]);
    }

    #[test]
    fn long_lines_are_held_in_part_and_copied_whole() {
        for length in [HELD - 1, HELD, HELD + 1, 2 * HELD, 3 * HELD + 7] {
            for end in ["\n", "", "\nnext", "\nnext\n"] {
                let long = "x".repeat(length);
                let text = format!("{long}{end}");
                let found = lines(text.as_bytes());
                assert_eq!(found[0].len(), length.min(HELD), "{length} {end:?}");
                assert_eq!(found.get(1).is_some(), end.contains("next"));

                let mut input = input(text.as_bytes());
                assert!(input.next().unwrap());
                let mut copy = input.line.to_vec();
                while let Some(piece) = input.next_piece().unwrap() {
                    copy.extend_from_slice(piece);
                }
                assert_eq!(copy, long.as_bytes());
                assert_eq!(input.next().unwrap(), end.contains("next"));
            }
        }
    }

    #[test]
    fn errors_name_the_file() {
        let why = Input::open("/nonexistent/log", &open).err().unwrap();
        assert!(why.starts_with("/nonexistent/log: cannot open: No such"), "{why}");
        let why = Input::open("/", &open).and_then(|mut i| i.next()).unwrap_err();
        assert!(why.starts_with("/: cannot read: Is a dir"), "{why}");
    }
}
