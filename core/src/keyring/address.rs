//! Where a request comes from.

use crate::admit::Desk;
use http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// Entries of `x-forwarded-for` that are looked at.
const MAX_HOPS: usize = 32;

/// The address of the client: the peer's, or where that is a proxy the config trusts, the last one that
/// `x-forwarded-for` names before the trusted ones. What stands further to the left is the client's own
/// word and counts for nothing. `None` where it is not known.
pub fn client_address(headers: &HeaderMap, desk: &Desk<'_>) -> Option<IpAddr> {
    let trusted = &desk.config.server.trusted_proxies;
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.holds(address));
    let mut client = desk.peer?;
    let lines = headers.get_all("x-forwarded-for").into_iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(MAX_HOPS) {
        if !is_trusted(client) {
            break;
        }
        client = address(hop)?;
    }
    Some(client.to_canonical())
}

/// An address, with a port or not: `192.0.2.7`, `192.0.2.7:443`, `[2001:db8::1]:443`, `[2001:db8::1]`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}
