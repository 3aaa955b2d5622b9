//! Signatures of AWS's, checked as AWS does. Here the secret of an access key is its id.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::fault::{Kind, Refusal};

const SCHEME: &str = "AWS4-HMAC-SHA256 ";
/// By how much a signature's time may be off.
const SKEW: Duration = Duration::from_secs(300);

/// The access key id of a signed request.
pub(crate) fn access_key(authorization: &str) -> Option<&str> {
    let fields = authorization.strip_prefix(SCHEME)?;
    field(fields, "Credential")?.split('/').next()
}

fn field<'f>(fields: &'f str, name: &str) -> Option<&'f str> {
    let found = fields.split(',').map(str::trim).find_map(|field| field.strip_prefix(name));
    found?.strip_prefix('=')
}

/// Refuses a request whose signature is none, or not its own. One that is not signed passes.
pub(crate) fn check(parts: &Parts, body: &Bytes) -> Result<(), Refusal> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let Some(fields) = header("authorization").and_then(|value| value.strip_prefix(SCHEME)) else {
        return Ok(());
    };
    let refuse = |message: &str| Err(Refusal { message: message.into(), ..Refusal::of(Kind::InvalidKey) });
    let (Some(credential), Some(names), Some(signature), Some(date)) = (
        field(fields, "Credential"),
        field(fields, "SignedHeaders"),
        field(fields, "Signature"),
        header("x-amz-date"),
    ) else {
        return refuse(
            "Authorization header requires 'Credential', 'Signature', 'SignedHeaders' and a date.",
        );
    };
    if !seconds(date).is_some_and(is_now) {
        return refuse("Signature expired or not yet current: check the clock.");
    }
    let Some((key, scope)) = credential.split_once('/') else {
        return refuse("Credential should be scoped with a valid date, region and service.");
    };
    let values = names.split(';').map(|name| Some(format!("{name}:{}\n", header(name)?.trim())));
    let Some(values) = values.collect::<Option<String>>() else {
        return refuse("A header is signed that was not sent.");
    };
    let mut pairs: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    pairs.sort_unstable();
    let canonical = format!(
        "{}\n{}\n{}\n{values}\n{names}\n{}",
        parts.method,
        escaped(parts.uri.path()),
        pairs.join("&"),
        hex(&Sha256::digest(body))
    );
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let first = format!("AWS4{key}").into_bytes();
    let signing = scope.split('/').fold(first, |key, piece| hmac(&key, piece.as_bytes()));
    let bound = names.split(';').any(|name| name == "host") && scope.ends_with("/bedrock/aws4_request");
    if bound && hex(&hmac(&signing, text.as_bytes())) == signature {
        return Ok(());
    }
    refuse("The request signature we calculated does not match the signature you provided.")
}

/// The path is escaped once more than it was sent.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(byte.into())
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let made = Hmac::<Sha256>::new_from_slice(key).map(|mut mac| {
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    });
    made.unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20260102T030405Z` in seconds since the epoch.
fn seconds(date: &str) -> Option<u64> {
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let clock = number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?;
    // Years begin in March here, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    Some(days.checked_sub(719_469)? * 86_400 + clock)
}

fn is_now(seconds: u64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.abs_diff(Duration::from_secs(seconds)) <= SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(seconds("20260102T030405Z"), Some(1_767_323_045));
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20240229T235959Z"), Some(1_709_251_199));
        assert_eq!(seconds("today"), None);
    }

    #[test]
    fn the_key_of_a_signature_is_found() {
        let text =
            "AWS4-HMAC-SHA256 Credential=AK/20260102/r/bedrock/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(access_key(text), Some("AK"));
        assert_eq!(access_key("Bearer x"), None);
    }
}
