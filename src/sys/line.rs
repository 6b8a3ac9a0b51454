//! The line between two processes of pen, one of which takes over from the other: short
//! texts, each with a descriptor or without.

use super::{receive_given, send_given, wait_readable};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// One end of it.
#[derive(Debug)]
pub(crate) struct Line(UnixStream);

/// Most bytes of a text; what is beyond them is cut off.
const MOST: usize = 32 << 10;

impl Line {
    /// Makes a line. What is sent waits no longer than `limit` for the other end.
    pub(crate) fn pair(limit: Duration) -> io::Result<(Line, Line)> {
        let (one, other) = UnixStream::pair()?;
        one.set_write_timeout(Some(limit))?;
        Ok((Line(one), Line(other)))
    }

    /// Sends a text, and with it a copy of a descriptor.
    pub(crate) fn send(&self, text: &str, given: Option<BorrowedFd>) -> io::Result<()> {
        let text = text.as_bytes().get(..MOST).unwrap_or(text.as_bytes());
        let mut data = (text.len() as u16).to_be_bytes().to_vec();
        data.extend_from_slice(text);
        let sent = match given {
            Some(given) => send_given(&self.0, &data, given)?,
            None => 0,
        };
        (&self.0).write_all(data.get(sent..).unwrap_or_default())
    }

    /// Waits for the next text. An error of the kind `UnexpectedEof` says that the other
    /// end has been closed.
    pub(crate) fn receive(&self) -> io::Result<(String, Option<OwnedFd>)> {
        let mut len = [0; 2];
        // No more than this, or else it might reach into what comes with the next one.
        let (count, given) = receive_given(&self.0, &mut len)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        (&self.0).read_exact(len.get_mut(count..).unwrap_or_default())?;
        let mut text = vec![0; u16::from_be_bytes(len).into()];
        (&self.0).read_exact(&mut text)?;
        Ok((String::from_utf8_lossy(&text).into_owned(), given))
    }

    /// The same, but waits no longer than `limit`.
    pub(crate) fn receive_within(&self, limit: Duration) -> io::Result<String> {
        match wait_readable(&self.0, limit)? {
            true => self.receive().map(|(text, _)| text),
            false => Err(ErrorKind::TimedOut.into()),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Line {
    fn from(end: OwnedFd) -> Line {
        Line(end.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Seek;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn texts_and_descriptors_arrive_in_order() {
        let (here, there) = Line::pair(LONG).unwrap();
        let mut file = File::open("/proc/self/exe").unwrap();
        file.seek(std::io::SeekFrom::Start(3)).unwrap();
        for given in [None, Some(file.as_fd()), Some(file.as_fd()), None] {
            here.send("word", given).unwrap();
        }
        here.send("", None).unwrap();
        here.send(&"x".repeat(MOST + 9), Some(file.as_fd())).unwrap();
        drop(here);
        for wanted in [false, true, true, false] {
            let (text, given) = there.receive().unwrap();
            assert_eq!((text.as_str(), given.is_some()), ("word", wanted));
            if let Some(given) = given {
                // The same open file.
                assert_eq!(File::from(given).stream_position().unwrap(), 3);
            }
        }
        assert_eq!(there.receive().unwrap().0, "");
        assert_eq!(there.receive().unwrap().0.len(), MOST);
        assert_eq!(there.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_silent_end_is_not_waited_for() {
        let (here, _there) = Line::pair(LONG).unwrap();
        let error = here.receive_within(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
