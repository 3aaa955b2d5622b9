//! Vectors for AWS's signatures and binary streams, and recorded traffic of Bedrock.
//!
//! See [`tollgate_tests::recordings`].
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs;
use tollgate_core::framing::{Closing, Framer, Framing};
use tollgate_core::secret::Secret;
use tollgate_core::sigv4::{AccessKey, Request, Signer, sign};
use tollgate_core::sse::Frame;
use tollgate_core::units::Time;
use tollgate_tests::recordings;

fn read(path: &str) -> Option<Value> {
    Some(serde_json::from_slice(&fs::read(recordings::find(path)?).unwrap()).unwrap())
}

fn signer(service: &'static str, token: Option<&str>) -> Signer {
    let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let key = AccessKey { id: "AKIDEXAMPLE".to_owned(), secret, token: token.map(Secret::new) };
    Signer { key, region: "us-east-1".to_owned(), service }
}

#[test]
fn requests_are_signed_as_awss_own_clients_sign_them() {
    let Some(vectors) = read("_vectors/sigv4-bedrock.json") else { return };
    // 2026-01-02T03:04:05Z
    let now = Time(1_767_323_045_000);
    for vector in vectors["vectors"].as_array().unwrap() {
        let uri: Uri = vector["url"].as_str().unwrap().parse().unwrap();
        let body = vector["body"].as_str().unwrap().as_bytes();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = Request { method: "POST", uri: &uri, body: Sha256::digest(body).into() };
        sign(&request, &signer("bedrock", vector["session_token"].as_str()), now, &mut headers);
        for (name, value) in vector["headers"].as_object().unwrap() {
            assert_eq!(headers[name].to_str().ok(), value.as_str(), "{}: {name}", vector["name"]);
        }
    }
}

/// AWS's own examples, of which those are signed alike that have no further headers.
#[test]
fn the_published_examples_have_their_signatures() {
    let folders = recordings::files("_vectors/sigv4");
    if folders.is_empty() {
        return;
    }
    let mut checked = 0;
    for folder in folders.into_iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Ok(request) = fs::read_to_string(folder.join(format!("{name}.req"))) else { continue };
        let signature = fs::read_to_string(folder.join(format!("{name}.authz"))).unwrap();
        let (line, rest) = request.split_once('\n').unwrap();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let plain = rest.lines().all(|line| {
            let line = line.to_ascii_lowercase();
            line.starts_with("host:") || line.starts_with("x-amz-date:") || line.is_empty()
        });
        let Ok(uri) = format!("https://example.amazonaws.com{target}").parse::<Uri>() else { continue };
        if !plain || !target.is_ascii() || target.contains("//") || target.contains("./") {
            continue;
        }
        let mut headers = HeaderMap::new();
        let request = Request { method, uri: &uri, body: Sha256::digest(b"").into() };
        // 2015-08-30T12:36:00Z
        let sent = fs::read_to_string(folder.join(format!("{name}.sreq"))).unwrap();
        let token = sent.lines().find_map(|line| line.strip_prefix("X-Amz-Security-Token:")).map(str::trim);
        sign(&request, &signer("service", token), Time(1_440_938_160_000), &mut headers);
        assert_eq!(headers["authorization"].to_str().unwrap(), signature.trim(), "{name}");
        checked += 1;
    }
    assert!(checked >= 5, "{checked}");
}

fn cut(pieces: &[&[u8]]) -> (Result<(), String>, Vec<Frame>, Closing) {
    let (mut framer, mut frames) = (Framer::new(Framing::EventStream), Vec::new());
    for piece in pieces {
        if let Err(why) = framer.push(Bytes::copy_from_slice(piece), &mut frames) {
            return (Err(why.to_string()), frames, Closing::Open);
        }
    }
    (Ok(()), frames, framer.closing())
}

#[test]
fn the_published_messages_are_read_and_the_corrupt_ones_refused() {
    let Some(vectors) = read("_vectors/eventstream/expected.json") else { return };
    for vector in vectors.as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let bytes = fs::read(recordings::find(&format!("_vectors/eventstream/{name}.bin")).unwrap()).unwrap();
        let (outcome, frames, closing) = cut(&[&bytes]);
        let Some(messages) = vector["messages"].as_array() else {
            assert!(outcome.is_err(), "{name} is {}", vector["error"]);
            continue;
        };
        assert_eq!((outcome, closing), (Ok(()), Closing::Closed), "{name}");
        assert_eq!(frames.len(), messages.len(), "{name}");
        assert_eq!(frames.concat_raw(), bytes, "{name}");
    }
}

trait ConcatRaw {
    fn concat_raw(&self) -> Vec<u8>;
}

impl ConcatRaw for [Frame] {
    fn concat_raw(&self) -> Vec<u8> {
        self.iter().flat_map(|frame| frame.raw().to_vec()).collect()
    }
}

#[test]
fn recorded_streams_have_the_same_frames_wherever_they_are_cut() {
    let files = recordings::files("bedrock").into_iter();
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "bin")) {
        let bytes = fs::read(&path).unwrap();
        let (outcome, whole, closing) = cut(&[&bytes]);
        assert_eq!((outcome, closing), (Ok(()), Closing::Closed));
        let lines = fs::read_to_string(path.with_extension("events.jsonl")).unwrap();
        for (frame, line) in whole.iter().zip(lines.lines()) {
            let told: Value = serde_json::from_str(line).unwrap();
            assert_eq!(told["headers"][":event-type"].as_str().unwrap().as_bytes(), frame.event());
            assert_eq!(told["payload"], serde_json::from_slice::<Value>(frame.data()).unwrap());
        }
        assert_eq!(whole.len(), lines.lines().count());
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(cut(&[head, tail]).1, whole, "{} cut at {at}", path.display());
        }
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(cut(&singles).1, whole);
    }
}
