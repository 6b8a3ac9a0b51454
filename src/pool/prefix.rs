//! How many bits of an address tell clients apart. Pure.

use super::clients::Client;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The lengths of a network's prefix for IPv4 and IPv6, in bits. Addresses that are the
/// same in so many bits are one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    v4: u8,
    v6: u8,
}

impl Prefix {
    /// Each address is a client.
    pub(crate) const ADDRESS: Prefix = Prefix { v4: 32, v6: 128 };
    /// The same length for both.
    pub(super) const fn of(len: u8) -> Prefix {
        Prefix { v4: len, v6: len }
    }

    /// Each IPv4 address is a client, and each IPv6 network that a host usually has.
    pub(crate) const HOST: Prefix = Prefix { v4: 32, v6: 64 };
}

impl Default for Prefix {
    fn default() -> Prefix {
        Prefix::ADDRESS
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.v4, self.v6)
    }
}

impl FromStr for Prefix {
    type Err = ();

    fn from_str(word: &str) -> Result<Prefix, ()> {
        let (v4, v6) = word.split_once('/').ok_or(())?;
        match (v4.parse(), v6.parse()) {
            (Ok(v4 @ 0..=32), Ok(v6 @ 0..=128)) => Ok(Prefix { v4, v6 }),
            _ => Err(()),
        }
    }
}

impl Client {
    /// The network that this client stands for, or the client itself, if all bits of its
    /// address count.
    pub(crate) fn network(self, prefix: Prefix) -> Client {
        match self {
            Client::Inet(IpAddr::V4(ip)) if prefix.v4 < 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix.v4)).unwrap_or(0);
                Client::Net((ip.to_bits() & mask).to_be_bytes().into(), prefix.v4)
            }
            Client::Inet(IpAddr::V6(ip)) if prefix.v6 < 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix.v6)).unwrap_or(0);
                Client::Net((ip.to_bits() & mask).to_be_bytes().into(), prefix.v6)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_network_are_one_client() {
        for (prefix, ip, network) in [
            ("32/128", "10.1.2.3", "10.1.2.3"),
            ("32/128", "2001:db8::1:2", "2001:db8::1:2"),
            ("24/56", "10.1.2.3", "10.1.2.0/24"),
            ("24/56", "2001:db8:0:12ff::9", "2001:db8:0:1200::/56"),
            ("25/64", "10.1.2.127", "10.1.2.0/25"),
            ("25/64", "10.1.2.128", "10.1.2.128/25"),
            ("1/1", "200.0.0.1", "128.0.0.0/1"),
            ("1/1", "fe80::1", "8000::/1"),
            ("0/0", "10.1.2.3", "0.0.0.0/0"),
            ("0/0", "2001:db8::1", "::/0"),
            ("31/127", "10.1.2.3", "10.1.2.2/31"),
            ("31/127", "::3", "::2/127"),
        ] {
            let client = Client::Inet(ip.parse().unwrap());
            let network_of = client.network(prefix.parse().unwrap());
            assert_eq!(network_of.to_string(), network, "{ip} {prefix}");
            assert_eq!(network.parse(), Ok(network_of));
            assert_eq!(prefix.parse::<Prefix>().unwrap().to_string(), prefix);
        }
        assert_eq!(Client::Unix.network("0/0".parse().unwrap()), Client::Unix);
        for word in ["", "24", "24/", "/56", "33/64", "24/129", "-1/64", "24/56/1", "a/b"] {
            assert!(word.parse::<Prefix>().is_err(), "{word}");
        }
        for word in ["10.1.2.3/24", "10.1.2.0/32", "::1/64", "10.0.0.0/33", "unix/1", "/8"] {
            assert!(word.parse::<Client>().is_err(), "{word}");
        }
    }
}
