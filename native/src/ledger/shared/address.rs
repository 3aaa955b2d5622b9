//! Where Redis is: a URL, understood before anything is connected.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use std::fmt;

/// Whether the connection is encrypted. The URL says so; nothing is guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    Tls,
}

/// A server's host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What a URL says. Its debug print has no password.
#[derive(Clone)]
pub struct Address {
    pub(super) node: Node,
    pub(super) wire: Wire,
    pub(super) login: RedisConnectionInfo,
}

/// A URL that cannot be used. Names what is wrong, never the URL itself: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl(String);

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected redis://[[user]:password@]host[:port][/database], or rediss:// for TLS",
            self.0
        )
    }
}

impl std::error::Error for BadUrl {}

const SCHEMES: [(&str, Wire); 4] =
    [("redis", Wire::Plain), ("rediss", Wire::Tls), ("valkey", Wire::Plain), ("valkeys", Wire::Tls)];

impl Address {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| bad("no redis URL was found"))?;
        let known = SCHEMES.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
        let wire = known.map(|(_, wire)| *wire).ok_or_else(|| bad_scheme(scheme))?;
        if rest.contains('#') {
            return Err(bad("a part after # was found, which would have to be written %23 in a password"));
        }
        // Whether it is encrypted is known by now; the rest is the same for both.
        let info = format!("redis://{rest}").into_connection_info().map_err(|error| bad_rest(&error))?;
        Self::of(&info, wire)
    }

    fn of(info: &ConnectionInfo, wire: Wire) -> Result<Self, BadUrl> {
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(bad("no host was found"));
        };
        let node = Node { host: host.trim_matches(['[', ']']).to_owned(), port: *port };
        Ok(Self { node, wire, login: info.redis_settings().clone() })
    }
}

fn bad(what: &str) -> BadUrl {
    BadUrl(what.to_owned())
}

/// A scheme is short and of letters; anything else may be a secret in the wrong place.
fn bad_scheme(scheme: &str) -> BadUrl {
    let is_word =
        scheme.len() <= 12 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
    if is_word { BadUrl(format!("the scheme {scheme}:// is not known")) } else { bad("no scheme was found") }
}

/// The parser's own words, which name the part that is wrong, not what stands in it.
fn bad_rest(error: &redis::RedisError) -> BadUrl {
    BadUrl(format!("the part after :// cannot be used ({})", error.category().to_lowercase()))
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Address {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.wire {
            Wire::Plain => "redis",
            Wire::Tls => "rediss",
        };
        write!(f, "{scheme}://{}", self.node)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Node {
    /// What a cluster says in a redirection: `10.0.0.1:6379`. It leaves the host out where it is the
    /// one that was asked.
    pub(super) fn redirected(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = if host.is_empty() { &asked.host } else { host };
        Some(Self { host: host.trim_matches(['[', ']']).to_owned(), port: port.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_server_user_password_and_database() {
        let address = Address::parse("redis://ann:se%23cret@cache.local:7000/3").unwrap();
        assert_eq!(address.node, Node { host: "cache.local".to_owned(), port: 7000 });
        assert_eq!(address.wire, Wire::Plain);
        assert_eq!(address.login.username(), Some("ann"));
        assert_eq!(address.login.password(), Some("se#cret"));
        assert_eq!(address.login.db(), 3);
        assert_eq!(format!("{address:?}"), "redis://cache.local:7000");
    }

    #[test]
    fn e5_tls_is_what_the_url_says() {
        assert_eq!(Address::parse("rediss://cache.local").unwrap().wire, Wire::Tls);
        assert_eq!(Address::parse("valkeys://cache.local").unwrap().wire, Wire::Tls);
        assert_eq!(Address::parse("redis://cache.local").unwrap().wire, Wire::Plain);
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_repeating_its_secret() {
        for (url, expected) in [
            ("hunter2", "no redis URL was found"),
            ("http://:hunter2@host", "the scheme http:// is not known"),
            ("hunter2-is-my-password://host", "no scheme was found"),
            ("redis://:hunter2@host:port", "the part after :// cannot be used"),
            ("redis://:hunter2@host/first", "the part after :// cannot be used"),
            ("redis://:hun#ter2@host", "a part after # was found"),
            ("unix:///hunter2", "the scheme unix:// is not known"),
        ] {
            let error = Address::parse(url).map(|address| address.node).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{url}: {error}");
            assert!(!error.contains("hunter2") && error.contains("redis://[[user]:password@]"), "{error}");
        }
    }

    #[test]
    fn a_redirection_names_a_node_or_leaves_out_the_host_that_was_asked() {
        let asked = Node { host: "a".to_owned(), port: 1 };
        let at = |host: &str, port| Some(Node { host: host.to_owned(), port });
        assert_eq!(Node::redirected("b:2", &asked), at("b", 2));
        assert_eq!(Node::redirected(":2", &asked), at("a", 2));
        assert_eq!(Node::redirected("::1:2", &asked), at("::1", 2));
        assert_eq!(Node::redirected("b:x", &asked), None);
    }
}
