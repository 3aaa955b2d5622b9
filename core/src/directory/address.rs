//! Ranges of addresses.

use std::fmt;
use std::net::IpAddr;

/// Addresses with a common beginning: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// An address of the range.
    pub address: IpAddr,
    /// How many leading bits are common.
    pub bits: u8,
}

impl IpRange {
    /// Reads a range, or one address. An `Err` says what is wrong: a range is written with its first
    /// address, so that nobody takes `10.1.2.3/8` for less than it is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "not an address".to_owned())?;
        let width = width(address);
        let plain = |bits: &&str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => width,
            Some(bits) => Some(bits)
                .filter(plain)
                .and_then(|bits| bits.parse().ok())
                .filter(|bits| *bits <= width)
                .ok_or_else(|| format!("the length is not a number from 0 to {width}"))?,
        };
        let range = Self { address, bits };
        if whole(address) != whole(address) & range.mask() {
            let first = Self { address: from_whole(address, whole(address) & range.mask()), bits };
            return Err(format!("the range begins at {first}"));
        }
        Ok(range)
    }

    /// Whether an address is in the range. An IPv4 address that came in IPv6 clothes is taken for what
    /// it is.
    pub fn holds(&self, address: IpAddr) -> bool {
        let (own, address) = (self.address.to_canonical(), address.to_canonical());
        let mapped = self.address.is_ipv6() && own.is_ipv4();
        let bits = if mapped { self.bits.saturating_sub(96) } else { self.bits };
        let range = Self { address: own, bits };
        width(own) == width(address) && whole(address) & range.mask() == whole(own) & range.mask()
    }

    /// Ones where addresses of the range are the same.
    fn mask(&self) -> u128 {
        let width = u32::from(width(self.address));
        let free = width.saturating_sub(u32::from(self.bits));
        let all = u128::MAX.checked_shr(128 - width).unwrap_or(0);
        all & u128::MAX.checked_shl(free).unwrap_or(0)
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.address) {
            return write!(f, "{}", self.address);
        }
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Bits of such an address.
const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn whole(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn from_whole(like: IpAddr, whole: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(u32::try_from(whole).unwrap_or(u32::MAX).into()),
        IpAddr::V6(_) => IpAddr::V6(whole.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, address: &str) -> bool {
        IpRange::parse(range).unwrap().holds(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_what_begins_like_it() {
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("::/0", "2001:db8::1"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_the_same_address() {
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3") && holds("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!holds("::ffff:10.0.0.0/104", "11.1.2.3"));
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_reason() {
        for wrong in ["", "10", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "::/129", "x/8"] {
            assert!(IpRange::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(IpRange::parse("10.1.2.3/8"), Err("the range begins at 10.0.0.0/8".to_owned()));
        for text in ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "0.0.0.0/0"] {
            assert_eq!(IpRange::parse(text).unwrap().to_string(), text);
        }
    }
}
