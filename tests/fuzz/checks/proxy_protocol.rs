//! PROXY headers: whatever stands behind one means nothing, a piece of one is neither
//! complete nor refused, what is refused stays so with more bytes, and one that is
//! written names the same source when it is read.
//!
//! An input is what a sender sends.

use pen::proxy_protocol::{LONGEST, SendProxy, Source, parse};

/// Most pieces of one header that are read.
const PIECES: usize = 300;

pub fn check(data: &[u8]) {
    let parsed = parse(data);
    let more = [data, b"\n"].concat();
    match parsed {
        Ok(Some((len, source))) => {
            assert!(len <= LONGEST.min(data.len()), "{len}");
            assert_eq!(parse(&data[..len]), parsed);
            for end in (0..len).rev().take(PIECES) {
                assert_eq!(parse(&data[..end]), Ok(None), "{end} of {len}");
            }
            reads_back(source);
        }
        Ok(None) => assert!(data.len() < LONGEST),
        Err(why) => assert_eq!(parse(&more), Err(why)),
    }
}

fn reads_back(source: Source) {
    // Unix is sent as no client's.
    let wanted = if source == Source::Unix { Source::Sender } else { source };
    for send in [SendProxy::V1, SendProxy::V2] {
        for is_datagram in [false, true] {
            let header = send.header(source, is_datagram);
            assert_eq!(parse(&header), Ok(Some((header.len(), wanted))), "{send:?}");
        }
    }
}
