//! Several places to listen, in one word: addresses with commas between them, and ranges
//! of ports.

use super::{Endpoint, endpoint, is_path, port, within};

/// Most places to listen.
const MOST: usize = 1024;

/// Reads and resolves a word that says where clients connect: one or more listen
/// operands, each with one port or a range, or one path.
///
/// Each of them means what it means alone. A port alone is all IPv4 addresses', so it is
/// refused behind an address, where it might be taken for that address's.
pub fn endpoints(word: &str) -> Result<Vec<Endpoint>, String> {
    if is_path(word) {
        return Ok(vec![endpoint(word)?]);
    }
    let mut all: Vec<Endpoint> = Vec::new();
    let mut has_host = false;
    for part in word.split(',') {
        let host = part.rsplit_once(':').map_or("", |(host, _)| host);
        if has_host && host.is_empty() {
            let port = part.trim_start_matches(':');
            let why = "behind an address, a port needs one, too; for all IPv4 addresses write";
            return Err(format!("{word}: {why} 0.0.0.0:{port}"));
        }
        has_host |= !host.is_empty();
        for endpoint in range(part).map_err(|why| within(word, &why))? {
            if all.contains(&endpoint) {
                return Err(format!("{word}: {endpoint} is there twice"));
            }
            all.push(endpoint);
        }
        if all.len() > MOST {
            return Err(format!("{word}: more than {MOST} ports"));
        }
    }
    Ok(all)
}

/// Reads the same word: all addresses as one.
pub(crate) fn listening(word: &str) -> Result<Endpoint, String> {
    endpoints(word).map(Endpoint::of_all)
}

/// Reads an address with a range of ports, or with one.
fn range(part: &str) -> Result<Vec<Endpoint>, String> {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let (host, ports) = part.split_at(part.rfind(':').map_or(0, |colon| colon + 1));
    // The name of a service may have a hyphen.
    let Some((first, last)) = ports.split_once('-').filter(|(a, b)| is_number(a) && is_number(b))
    else {
        return Ok(vec![endpoint(part)?]);
    };
    let (from, to) = (port(first)?, port(last)?);
    if from == 0 || from > to {
        return Err(format!("{part}: expected a range such as 8000-8010"));
    }
    if usize::from(to - from) >= MOST {
        return Err(format!("{part}: more than {MOST} ports"));
    }
    let Endpoint::Inet(all) = endpoint(&format!("{host}{first}"))? else {
        return Ok(Vec::new()); // Cannot be: this is no path.
    };
    let at = |port| {
        let mut all = all.clone();
        all.iter_mut().for_each(|at| at.set_port(port));
        Endpoint::Inet(all)
    };
    Ok((from..=to).map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(word: &str) -> String {
        match endpoints(word) {
            Ok(all) => all.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(" "),
            Err(why) => why,
        }
    }

    #[test]
    fn lists_and_ranges() {
        for (word, places) in [
            ("80", "0.0.0.0:80"),
            ("80,443", "0.0.0.0:80 0.0.0.0:443"),
            ("8000-8002,[::]:8080", "0.0.0.0:8000 0.0.0.0:8001 0.0.0.0:8002 [::]:8080"),
            ("10.0.0.1:80-81,10.0.0.2:80", "10.0.0.1:80 10.0.0.1:81 10.0.0.2:80"),
            ("::1:7-8", "[::1]:7 [::1]:8"),
            ("9-9", "0.0.0.0:9"),
            ("/run/a,80", "/run/a,80"),
            ("./80,81", "./80,81"),
        ] {
            assert_eq!(shown(word), places, "{word}");
        }
        assert_eq!(endpoints("1-1024").unwrap().len(), MOST);
    }

    #[test]
    fn complaints_name_the_word() {
        for (word, part) in [
            ("80,,443", "expected a port"),
            ("80,", "expected a port"),
            ("8010-8000", "a range such as"),
            ("0-5", "a range such as"),
            ("80-70000", "out of range"),
            ("1-1025", "more than 1024 ports"),
            ("1-600,1001-1600", "more than 1024 ports"),
            ("80,70-90", "0.0.0.0:80 is there twice"),
            ("10.0.0.1:80,443", "write 0.0.0.0:443"),
            ("10.0.0.1:80,:443", "write 0.0.0.0:443"),
            ("80,http-8080", "expected a port"),
            ("80,/run/x", "a Unix socket"),
            ("127.0.0.1:80-81,/run/x", "a Unix socket"),
        ] {
            let complaint = shown(word);
            assert!(complaint.starts_with(&format!("{word}: ")), "{complaint}");
            assert!(complaint.contains(part), "{complaint}");
        }
    }
}
