//! Pictures and files that clients name by address, for providers that fetch none themselves.
//!
//! Off unless `server.fetch_media` says otherwise: what is fetched is of a client's choosing. Core says
//! what is needed and what may be asked at all; the host fetches, and must ask the very addresses that it
//! has checked.

use crate::call::{Call, Document, DocumentBody, Image, MediaSource, Part, ToolResult, Video};
use crate::units::Millis;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most that one request has fetched.
pub const MAX_MEDIA: usize = 20;
/// The most bytes of all of them together.
pub const MAX_MEDIA_BYTES: usize = 20 * 1024 * 1024;
/// For all of them.
pub const MEDIA_PATIENCE: Millis = Millis::from_secs(10);

/// What the gateway fetches for its clients (`server.fetch_media`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FetchMedia {
    /// Nothing.
    #[default]
    Off,
    /// What is at public addresses.
    Public,
    /// Whatever it reaches: for a gateway that reaches nothing its clients must not read.
    Any,
}

impl FetchMedia {
    /// Whether what is at this address may be asked.
    pub fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Off => false,
            Self::Public => is_public(address),
            Self::Any => true,
        }
    }
}

/// What is to be fetched for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Absolute URLs, each once; `http` or `https`.
    pub urls: Vec<String>,
    /// What may be asked.
    pub reach: FetchMedia,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// What was asked for.
    pub url: String,
    /// Its bytes, and what its server says they are; else why there are none, without the URL.
    pub got: Result<Medium, String>,
}

/// A picture or a file.
#[derive(Clone, Debug)]
pub struct Medium {
    /// What its server says it is.
    pub label: Option<String>,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Addresses of a call that a provider does not fetch, each once and no more than may be.
pub(crate) fn wanted(call: &mut Call, fetches: impl Fn(&str) -> bool) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    each(call, &mut |source| {
        if let MediaSource::Url { url, .. } = source
            && (url.starts_with("https://") || url.starts_with("http://"))
            && !fetches(url)
            && !urls.contains(url)
            && urls.len() < MAX_MEDIA
        {
            urls.push(url.clone());
        }
    });
    urls
}

/// Puts what was fetched in place of its address. What could not be fetched stays, and the first reason
/// comes back.
pub(crate) fn put(call: &mut Call, fetched: &[Fetched]) -> Option<String> {
    let mut failed = None;
    each(call, &mut |source| {
        let MediaSource::Url { url, media_type } = source else { return };
        let Some(Fetched { got, .. }) = fetched.iter().find(|fetched| fetched.url == *url) else { return };
        match got {
            Ok(Medium { label, bytes }) => {
                let said = media_type.take().or_else(|| label.clone());
                let media_type = sniff(bytes).map(str::to_owned).or(said);
                let media_type = media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
                *source = MediaSource::Inline { media_type, data: STANDARD.encode(bytes) };
            }
            Err(why) => {
                failed.get_or_insert_with(|| why.clone());
            }
        }
    });
    failed
}

/// What bytes are, by how they begin: labels are wrong often enough.
fn sniff(bytes: &[u8]) -> Option<&'static str> {
    const SIGNS: [(&[u8], &str); 5] = [
        (b"\x89PNG\r\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"%PDF-", "application/pdf"),
        (b"OggS", "audio/ogg"),
    ];
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let known = SIGNS.iter().find(|(sign, _)| bytes.starts_with(sign)).map(|(_, kind)| *kind);
    known.or(webp.then_some("image/webp"))
}

fn each(call: &mut Call, act: &mut dyn FnMut(&mut MediaSource)) {
    call.messages.iter_mut().for_each(|message| parts(&mut message.parts, act));
}

fn parts(all: &mut [Part], act: &mut dyn FnMut(&mut MediaSource)) {
    for part in all {
        match part {
            Part::Image(Image { source, .. }) | Part::Video(Video { source }) => act(source),
            Part::Audio(audio) => audio.source.iter_mut().for_each(&mut *act),
            Part::Document(Document { body, .. }) => match body {
                DocumentBody::Media(source) => act(source),
                DocumentBody::Parts(inner) | DocumentBody::Found { parts: inner, .. } => parts(inner, act),
                DocumentBody::Text(_) | DocumentBody::Opaque(_) => {}
            },
            Part::ToolResult(ToolResult { parts: inner, .. }) => parts(inner, act),
            Part::Text(_) | Part::Thinking(_) | Part::Refusal(_) | Part::ToolCall(_) | Part::Opaque(_) => {}
        }
    }
}

/// Whether an address belongs to the internet at large, and not to this machine, its networks, its
/// platform or to nobody.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private ones, loopback.
        (0 | 10 | 127, ..) | (172, 16..32, _) | (192, 168, _) => true,
        // Carriers' own, link-local (metadata of clouds), protocol assignments, tests, benchmarks, relays.
        (100, 64..128, _) | (169, 254, _) | (192, 0, 0 | 2) | (192, 88, 99) => true,
        (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4() {
        return is_public_v4(inner);
    }
    match address.segments() {
        // Addresses of the older protocol behind a translator, or in a tunnel.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(joined(high, low)),
        [0x64, 0xff9b, ..] => false,
        [0x2002, high, low, ..] => is_public_v4(joined(high, low)),
        // Tunnels, protocol assignments, tests.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // What is given out for the internet at large.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_internet_at_large_is_not_asked() {
        let inside = [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ];
        for address in inside {
            assert!(!FetchMedia::Public.admits(address.parse().unwrap()), "{address}");
        }
        let outside = [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00::1",
            "64:ff9b::808:808",
        ];
        for address in outside {
            assert!(FetchMedia::Public.admits(address.parse().unwrap()), "{address}");
            assert!(!FetchMedia::Off.admits(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn bytes_are_known_by_how_they_begin() {
        let kinds = [
            (&b"\x89PNG\r\n\x1a\n"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"%PDF-1.7", Some("application/pdf")),
            (b"<html>", None),
            (b"", None),
        ];
        for (bytes, kind) in kinds {
            assert_eq!(sniff(bytes), kind);
        }
    }
}
