//! The control messages of `sendmsg` and `recvmsg`: which of this host's addresses a
//! datagram came to or goes out from, and descriptors that one process gives another.
//!
//! Sources: RFC 3542 (IPv6), ip(7) on Linux, ip(4) on the BSDs.

use super::layout::{ControlLen, IoVec, MsgHdr};
use super::number::{
    IP_DESTINATION, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, SCM_RIGHTS, SOL_SOCKET,
};
use super::sockaddr::{Address, chunk, put};
use std::ffi::c_int;
use std::fmt;
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

impl fmt::Display for Here {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}%{}", self.ip, self.interface)
    }
}

impl Here {
    /// The address alone.
    pub(crate) fn ip(self) -> IpAddr {
        self.ip
    }

    /// Reads what [`fmt::Display`] has written.
    pub(crate) fn parse(text: &str) -> Option<Here> {
        let (ip, interface) = text.split_once('%')?;
        Some(Here { ip: ip.parse().ok()?, interface: interface.parse().ok()? })
    }
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
        match here.ip {
            IpAddr::V4(ip) => {
                put(&mut control.bytes, HEAD + v4::ADDRESS, &ip.octets());
                control.head(IPPROTO_IP, IP_DESTINATION, v4::SIZE);
            }
            IpAddr::V6(ip) => {
                put(&mut control.bytes, HEAD, &ip.octets());
                put(&mut control.bytes, HEAD + 16, &here.interface.to_ne_bytes());
                control.head(IPPROTO_IPV6, IPV6_PKTINFO, 20);
            }
        }
        control
    }

    /// The message that gives the receiver this descriptor.
    pub(super) fn descriptor(fd: c_int) -> Control {
        let mut control = Control::default();
        put(&mut control.bytes, HEAD, &fd.to_ne_bytes());
        control.head(SOL_SOCKET, SCM_RIGHTS, 4);
        control
    }

    /// Writes the head of a message with so many bytes of data.
    fn head(&mut self, level: c_int, kind: c_int, size: usize) {
        let length = (HEAD + size) as ControlLen;
        put(&mut self.bytes, 0, &length.to_ne_bytes());
        put(&mut self.bytes, LENGTH, &level.to_ne_bytes());
        put(&mut self.bytes, LENGTH + 4, &kind.to_ne_bytes());
        self.len = (HEAD + size).next_multiple_of(size_of::<usize>());
    }

    /// The descriptor given in the first `len` bytes.
    pub(super) fn given(&self, len: usize) -> Option<c_int> {
        let all = self.bytes.get(..len)?;
        let level = c_int::from_ne_bytes(chunk(all, LENGTH)?);
        let kind = c_int::from_ne_bytes(chunk(all, LENGTH + 4)?);
        let fd = chunk(all, HEAD).map(c_int::from_ne_bytes)?;
        (level == SOL_SOCKET && kind == SCM_RIGHTS).then_some(fd)
    }

    /// The destination told in the first `len` bytes. `None` too for what
    /// cannot be a source: multicast and broadcast.
    pub(super) fn destination(&self, len: usize) -> Option<Here> {
        let all = self.bytes.get(..len)?;
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
            assert_eq!(control.destination(control.len), Some(here));
            assert_eq!(control.destination(HEAD), None);
            assert_eq!(control.given(control.len), None);
            assert_eq!(Here::parse(&here.to_string()), Some(here));
        }
        let none = Control::default();
        assert_eq!(none.destination(0), None);
        assert_eq!(none.destination(64), None);
        let ip = "ff02::1".parse().unwrap();
        let control = Control::source(Here { ip, interface: 1 });
        assert_eq!(control.destination(control.len), None);
    }

    #[test]
    fn a_descriptor_reads_back() {
        let control = Control::descriptor(7);
        assert_eq!(control.given(control.len), Some(7));
        assert_eq!(control.destination(control.len), None);
        assert_eq!(control.given(HEAD), None);
    }
}
