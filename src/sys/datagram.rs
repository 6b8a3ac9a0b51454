//! Datagrams with their addresses: the control messages of `sendmsg` and
//! `recvmsg`, which say which of this host's addresses a datagram came to or
//! goes out from. No unsafe code.
//!
//! Sources: RFC 3542 (IPv6), ip(7) on Linux, ip(4) on the BSDs.

use super::layout::{ControlLen, IoVec, MsgHdr};
use super::number::{IP_DESTINATION, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO};
use super::sockaddr::{Address, chunk, put};
use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl MsgHdr {
    /// Without addresses.
    pub(super) fn new(part: &mut IoVec) -> MsgHdr {
        MsgHdr {
            name: std::ptr::null_mut(),
            namelen: 0,
            iov: part,
            iovlen: 1,
            control: std::ptr::null_mut(),
            controllen: 0,
            flags: 0,
        }
    }
}

/// A datagram that was taken.
#[derive(Debug)]
pub(crate) struct Received {
    /// Its bytes.
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) from: Address,
    /// Where it came to, if that was asked for.
    pub(crate) to: Option<Here>,
}

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Here {
    ip: IpAddr,
    /// Of an IPv6 link-local address; else 0.
    interface: u32,
}

/// A control message's head: its length (a `size_t` on Linux, 32 bits on the
/// BSDs), its level and its type; data begins at a multiple of the word size.
const LENGTH: usize = size_of::<ControlLen>();
const HEAD: usize = (LENGTH + 8).next_multiple_of(size_of::<usize>());

/// Room for the one control message that there is.
#[repr(C, align(8))]
pub(super) struct Control {
    pub(super) bytes: [u8; 64],
    pub(super) len: usize,
}

impl Default for Control {
    fn default() -> Control {
        let bytes = [0; 64];
        Control { bytes, len: 0 }
    }
}

/// Where the address is in the data of [`IP_DESTINATION`], and how much that is.
#[cfg(target_os = "linux")]
mod v4 {
    pub(super) const ADDRESS: usize = 4;
    pub(super) const SIZE: usize = 12;
}
#[cfg(not(target_os = "linux"))]
mod v4 {
    pub(super) const ADDRESS: usize = 0;
    pub(super) const SIZE: usize = 4;
}

impl Control {
    /// The message that makes a datagram leave from this address.
    pub(super) fn source(here: Here) -> Control {
        let mut control = Control::default();
        let (level, kind, size) = match here.ip {
            IpAddr::V4(ip) => {
                put(&mut control.bytes, HEAD + v4::ADDRESS, &ip.octets());
                (IPPROTO_IP, IP_DESTINATION, v4::SIZE)
            }
            IpAddr::V6(ip) => {
                put(&mut control.bytes, HEAD, &ip.octets());
                put(&mut control.bytes, HEAD + 16, &here.interface.to_ne_bytes());
                (IPPROTO_IPV6, IPV6_PKTINFO, 20)
            }
        };
        let length = (HEAD + size) as ControlLen;
        put(&mut control.bytes, 0, &length.to_ne_bytes());
        put(&mut control.bytes, LENGTH, &level.to_ne_bytes());
        put(&mut control.bytes, LENGTH + 4, &kind.to_ne_bytes());
        control.len = (HEAD + size).next_multiple_of(size_of::<usize>());
        control
    }

    /// The destination told in the first `len` bytes. `None` too for what
    /// cannot be a source: multicast and broadcast.
    pub(super) fn destination(&self, len: ControlLen) -> Option<Here> {
        #[allow(clippy::unnecessary_cast)] // 32 bits on the BSDs
        let all = self.bytes.get(..len as usize)?;
        let level = c_int::from_ne_bytes(chunk(all, LENGTH)?);
        let kind = c_int::from_ne_bytes(chunk(all, LENGTH + 4)?);
        let (ip, interface): (IpAddr, u32) = match (level, kind) {
            (IPPROTO_IP, IP_DESTINATION) => {
                let ip: [u8; 4] = chunk(all, HEAD + v4::ADDRESS)?;
                (Ipv4Addr::from(ip).into(), 0)
            }
            (IPPROTO_IPV6, IPV6_PKTINFO) => {
                let ip: [u8; 16] = chunk(all, HEAD)?;
                let ip = Ipv6Addr::from(ip);
                let interface = u32::from_ne_bytes(chunk(all, HEAD + 16)?);
                (ip.into(), if ip.is_unicast_link_local() { interface } else { 0 })
            }
            _ => return None,
        };
        let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        (!ip.is_multicast() && !broadcast).then_some(Here { ip, interface })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_back_as_a_destination() {
        for (ip, interface) in [("192.0.2.1", 0), ("2001:db8::1", 0), ("fe80::1", 7)] {
            let ip = ip.parse().unwrap();
            let here = Here { ip, interface };
            let control = Control::source(here);
            assert_eq!(control.destination(control.len as ControlLen), Some(here));
            assert_eq!(control.destination(HEAD as ControlLen), None);
        }
        let none = Control::default();
        assert_eq!(none.destination(0), None);
        assert_eq!(none.destination(64), None);
        let ip = "ff02::1".parse().unwrap();
        let control = Control::source(Here { ip, interface: 1 });
        assert_eq!(control.destination(control.len as ControlLen), None);
    }
}
