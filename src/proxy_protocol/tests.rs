use super::*;

fn inet(from: &str, to: &str) -> Source {
    Source::Inet { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

/// A header of version 2 of these bytes behind the signature, with the length of `body`.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &len, body].concat()
}

/// 192.0.2.1:56324 to 192.0.2.2:443.
const V4: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 220, 4, 1, 187];

fn v6() -> Vec<u8> {
    let [from, to] = ["2001:db8::1", "2001:db8::2"].map(|ip| ip.parse::<Ipv6Addr>().unwrap());
    [&from.octets()[..], &to.octets(), &[220, 4, 1, 187]].concat()
}

/// A header over TCP/IPv4 with these fields.
fn fields(fields: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[V4, fields].concat())
}

#[test]
fn headers_name_their_source() {
    let (v4_source, v6_source) = (
        inet("192.0.2.1:56324", "192.0.2.2:443"),
        inet("[2001:db8::1]:56324", "[2001:db8::2]:443"),
    );
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    let unknown = line(&format!("PROXY UNKNOWN {}", "f".repeat(LINE - 16)));
    assert_eq!(unknown.len(), LINE);
    let rows: &[(Vec<u8>, Source)] = &[
        (line("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443"), v4_source),
        (line("PROXY TCP6 2001:DB8::1 2001:db8:0:0::2 56324 443"), v6_source),
        (
            line("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535"),
            inet("0.0.0.0:0", "255.255.255.255:65535"),
        ),
        (line("PROXY UNKNOWN"), Source::Sender),
        (line("PROXY UNKNOWN \u{ff} 1 \r 2  3"), Source::Sender),
        (b"PROXY UNKNOWN \xff\0\r\n".to_vec(), Source::Sender),
        (unknown, Source::Sender),
        (v2(0x21, 0x11, V4), v4_source),
        (v2(0x21, 0x12, V4), v4_source),
        (v2(0x21, 0x21, &v6()), v6_source),
        (v2(0x21, 0x22, &v6()), v6_source),
        (v2(0x21, 0x31, &[b'x'; 216]), Source::Unix),
        (v2(0x21, 0x32, &[0; 216]), Source::Unix),
        (v2(0x21, 0, &[]), Source::Sender),
        (v2(0x21, 0, &[9; 100]), Source::Sender),
        (v2(0x20, 0, &[]), Source::Sender),
        // The length counts for LOCAL, too, and its family does not.
        (v2(0x20, 0x11, &[9; 77]), Source::Sender),
        (v2(0x20, 0xff, &[9; 7]), Source::Sender),
        (fields(&[4, 0, 2, 9, 9, 5, 0, 0]), v4_source),
        // The longest: a field of all the rest.
        (fields(&[&[0xe0, 0x0f, 0xe1][..], &[7; 4065]].concat()), v4_source),
        // The checksum of a header as HAProxy sends it.
        (fields(&[3, 0, 4, 0xd6, 0xc8, 0xc7, 0x5f]), v4_source),
    ];
    for (header, source) in rows {
        let shown = header.escape_ascii().to_string();
        let whole = Ok(Some((header.len(), *source)));
        assert_eq!(parse(header), whole, "{shown}");
        assert_eq!(parse(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()), whole, "{shown}");
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(None), "{end} bytes of {shown}");
        }
    }
}

#[test]
fn whatever_is_malformed_is_refused() {
    let lines = [
        "GET / HTTP/1.1",
        "proxy TCP4 1.2.3.4 1.2.3.4 5 6",
        "PROXY",
        "PROXY ",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 5 6",
        "PROXY TCP4",
        "PROXY TCP4  1.2.3.4 1.2.3.4 5 6",
        "PROXY TCP4 1.2.3.4 1.2.3.4 5 6 ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 5 6 7",
        "PROXY TCP4 1.2.3.4 1.2.3.4 5",
        "PROXY TCP4 1.2.3.4\t1.2.3.4 5 6",
        "PROXY TCP4 1.2.3.4 1.2.3.04 5 6",
        "PROXY TCP4 1.2.3 1.2.3.4 5 6",
        "PROXY TCP4 1.2.3.256 1.2.3.4 5 6",
        "PROXY TCP4 0x1.2.3.4 1.2.3.4 5 6",
        "PROXY TCP4 ::1 ::1 5 6",
        "PROXY TCP6 1.2.3.4 1.2.3.4 5 6",
        "PROXY TCP6 ::1%1 ::1 5 6",
        "PROXY TCP6 ::00001 ::1 5 6",
        "PROXY TCP6 1::2::3 ::1 5 6",
        "PROXY TCP6 [::1] ::1 5 6",
        "PROXY TCP4 1.2.3.4 1.2.3.4 05 6",
        "PROXY TCP4 1.2.3.4 1.2.3.4 00 6",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +5 6",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -5 6",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 6",
        "PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r",
        "PROXY TCP4 1.2.3.4 1.2.3.4 5 \u{666}",
        "PROXY UDP4 1.2.3.4 1.2.3.4 5 6",
        "PROXY UNKNOWNS",
        "PROXY UNKNOWN\t",
        "PROXY unknown",
    ];
    let mut all: Vec<Vec<u8>> = lines.iter().map(|line| format!("{line}\r\n").into()).collect();
    all.extend([
        b"PROXY TCP4 1.2.3.4 1.2.3.4 5 6\n".to_vec(),
        b"PROXY UNKNOWN\n".to_vec(),
        format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE - 15)).into(),
        format!("PROXY UNKNOWN {}", "f".repeat(LINE - 14)).into(),
        v2(0x11, 0x11, V4),
        v2(0x31, 0x11, V4),
        v2(0x22, 0x11, V4),
        v2(0x2f, 0x11, V4),
        v2(0x21, 0x41, V4),
        v2(0x21, 0x13, V4),
        v2(0x21, 0x10, V4),
        v2(0x21, 0x01, V4),
        v2(0x21, 0x11, &V4[1..]),
        v2(0x21, 0x21, V4),
        v2(0x21, 0x31, &[0; 215]),
        v2(0x21, 0x11, &[0; LONGEST]),
        v2(0x20, 0x00, &[0; LONGEST - HEAD + 1]),
        fields(&[4]),
        fields(&[4, 0]),
        fields(&[4, 0, 1]),
        fields(&[4, 0, 1, 9, 4, 0, 2, 9]),
        fields(&[4, 255, 255, 9]),
        fields(&[3, 0, 4, 0xd6, 0xc8, 0xc7, 0x60]),
        fields(&[3, 0, 0]),
        fields(&[3, 0, 3, 1, 2, 3]),
        fields(&[3, 0, 5, 1, 2, 3, 4, 5]),
    ]);
    for header in all {
        assert!(parse(&header).is_err(), "{}", header.escape_ascii());
    }
    // Nothing is waited for when it is clear that this is no header.
    for start in ["G", "PROXIES", "\r\nQ", "\r\n\r\n\0\r\nQUIT\r"] {
        assert_eq!(parse(start.as_bytes()), Err("none"), "{start:?}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    for source in [
        inet("192.0.2.1:56324", "192.0.2.2:443"),
        inet("[2001:db8::1]:1", "[::]:65535"),
        Source::Sender,
    ] {
        for send in [SendProxy::V1, SendProxy::V2] {
            for is_datagram in [false, true] {
                let header = send.header(source, is_datagram);
                assert_eq!(parse(&header), Ok(Some((header.len(), source))), "{send:?}");
            }
        }
    }
    let mixed = inet("192.0.2.1:5", "[::1]:6");
    for send in [SendProxy::V1, SendProxy::V2] {
        let read = parse(&send.header(mixed, false)).unwrap().unwrap().1;
        assert_eq!(read, inet("[::ffff:192.0.2.1]:5", "[::1]:6"));
    }
    assert_eq!(SendProxy::V2.header(Source::Unix, false), v2(0x20, 0, &[]));
    assert_eq!(SendProxy::V1.header(Source::Unix, false), b"PROXY UNKNOWN\r\n");
    assert!(SendProxy::Off.header(Source::Unix, false).is_empty());
}
