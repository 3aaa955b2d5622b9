//! AWS Signature Version 4, pure given the time.
//!
//! ```text
//! secret ─HMAC─▶ day ─▶ region ─▶ service ─▶ "aws4_request" = key
//! method, path, query, headers, body's hash ─SHA-256─▶ request ─▶ "AWS4-HMAC-SHA256, time, scope, request" ─key─▶ signature
//! ```
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

#[cfg(test)]
mod tests;

use crate::config::values::hex;
use crate::limit::calendar;
use crate::secret::Secret;
use crate::sort;
use crate::source::Source;
use crate::units::Time;
use hmac::{Hmac, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// An access key of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id, which is no secret.
    pub id: String,
    /// The secret that signs.
    pub secret: Secret,
    /// Of temporary keys.
    pub token: Option<Secret>,
}

/// Who signs, and where the signature counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The access key.
    pub key: AccessKey,
    /// `us-east-1`.
    pub region: String,
    /// `bedrock`.
    pub service: &'static str,
}

/// What is left to do for a request that is ready: a signature holds for minutes, so it is made when
/// the request leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Who signs, or lends what does.
    pub by: By,
    /// The SHA-256 of the body.
    pub body: [u8; 32],
}

/// Who signs a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A key that is known.
    Key(Arc<Signer>),
    /// Whatever this lends when the request leaves: a key that signs, or a token.
    Source(Arc<Source>),
}

impl Signing {
    /// Of a request with this body.
    pub fn of(by: By, body: &[u8]) -> Self {
        let hashed = match &by {
            By::Source(source) => !source.region.is_empty(),
            By::Key(_) => true,
        };
        Self { by, body: if hashed { Sha256::digest(body).into() } else { [0; 32] } }
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Where it goes. The host is signed as clients write it: without the scheme's own port.
    pub uri: &'a Uri,
    /// The SHA-256 of the body.
    pub body: [u8; 32],
}

/// Adds the headers that sign a request: time, token and authorization. Signed are these, the host and
/// the `content-type` that is there. A value that no header can carry leaves the request unsigned.
pub fn sign(request: &Request<'_>, signer: &Signer, now: Time, headers: &mut HeaderMap) {
    let Signer { key, region, service } = signer;
    let date: String = calendar::written(now).chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let token = key.token.as_ref().map(|token| HeaderValue::from_str(token.expose()));
    let (Ok(date_value), Ok(host)) = (HeaderValue::from_str(&date), host(request.uri)) else { return };
    headers.insert(DATE, date_value);
    if let Some(Ok(mut token)) = token {
        token.set_sensitive(true);
        headers.insert(TOKEN, token);
    }
    let mut signed: Vec<(&str, String)> = vec![(HOST.as_str(), host)];
    for name in [CONTENT_TYPE.as_str(), "x-amz-date", "x-amz-security-token"] {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        signed.extend(value.map(|value| (name, value.trim().to_owned())));
    }
    sort::sort_by(&mut signed, Ord::cmp);
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = canonical(request, &signed, &names);
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let first = format!("AWS4{}", key.secret.expose());
    let signing = [day, region, service, "aws4_request"]
        .iter()
        .fold(first.into_bytes(), |key, piece| hmac(&key, piece.as_bytes()));
    let signature = hex(&hmac(&signing, text.as_bytes()));
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        key.id
    );
    if let Ok(mut value) = HeaderValue::from_str(&value) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

fn canonical(request: &Request<'_>, signed: &[(&str, String)], names: &str) -> String {
    let Request { method, uri, body } = request;
    let mut text = format!("{method}\n");
    // Every service but S3 wants the path escaped once more than it is sent.
    escape(uri.path().as_bytes(), Slash::Kept, &mut text);
    text.push('\n');
    let mut pairs: Vec<(&str, &str)> = uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    sort::sort_by(&mut pairs, Ord::cmp);
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    text.push_str(&pairs.join("&"));
    text.push('\n');
    for (name, value) in signed {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(names);
    text.push('\n');
    text.push_str(&hex(body));
    text
}

/// Whether slashes are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// They separate.
    Kept,
    /// They are part of a name.
    Escaped,
}

/// Appends the bytes with everything escaped that RFC 3986 reserves.
pub fn escape(bytes: &[u8], slash: Slash, out: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*byte))
            }
            b'/' if slash == Slash::Kept => out.push('/'),
            other => {
                // Writing to a string never fails.
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
}

/// The host as clients send it; fails where the address has none.
fn host(uri: &Uri) -> Result<String, ()> {
    let authority = uri.authority().ok_or(())?;
    let usual = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    Ok(match authority.port_u16() {
        Some(port) if port != usual => format!("{}:{port}", authority.host()),
        Some(_) | None => authority.host().to_owned(),
    })
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // Neither fails: a key of any length is one.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
