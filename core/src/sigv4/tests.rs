use super::*;

/// 2026-01-02T03:04:05Z.
const NOW: Time = Time(1_767_323_045_000);

fn signer(token: Option<&str>) -> Signer {
    let key = AccessKey {
        id: "AKIDEXAMPLE".to_owned(),
        secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        token: token.map(Secret::new),
    };
    Signer { key, region: "us-east-1".to_owned(), service: "bedrock" }
}

fn signed(uri: &str, body: &[u8], signer: &Signer) -> HeaderMap {
    let uri: Uri = uri.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request { method: "POST", uri: &uri, body: Sha256::digest(body).into() };
    sign(&request, signer, NOW, &mut headers);
    headers
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn a_request_is_signed_with_its_time_its_host_and_its_token() {
    let headers =
        signed("https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse", b"{}", &signer(Some("T")));
    assert_eq!(text(&headers, "x-amz-date"), "20260102T030405Z");
    assert_eq!(text(&headers, "x-amz-security-token"), "T");
    let authorization = text(&headers, "authorization");
    let head = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, \
                SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert_eq!(authorization.strip_prefix(head).map(str::len), Some(64), "{authorization}");
    assert!(headers["authorization"].is_sensitive() && headers["x-amz-security-token"].is_sensitive());
}

#[test]
fn whatever_changes_changes_the_signature() {
    let base = signed("https://h.test/model/m/converse", b"{}", &signer(None));
    let others = [
        signed("https://h.test/model/n/converse", b"{}", &signer(None)),
        signed("https://h.test/model/m/converse", b"{ }", &signer(None)),
        signed("https://h.test:444/model/m/converse", b"{}", &signer(None)),
        signed("https://h.test/model/m/converse?a=b", b"{}", &signer(None)),
        signed(
            "https://h.test/model/m/converse",
            b"{}",
            &Signer { region: "eu-west-1".to_owned(), ..signer(None) },
        ),
    ];
    for other in others {
        assert_ne!(base["authorization"], other["authorization"]);
    }
    let same = signed("https://h.test:443/model/m/converse", b"{}", &signer(None));
    assert_eq!(base["authorization"], same["authorization"], "the usual port is not sent");
}

#[test]
fn names_are_escaped_once_in_a_path_and_paths_once_more_to_be_signed() {
    let (mut name, mut path) = (String::new(), String::new());
    escape("a:b/c é~".as_bytes(), Slash::Escaped, &mut name);
    assert_eq!(name, "a%3Ab%2Fc%20%C3%A9~");
    escape(format!("/model/{name}").as_bytes(), Slash::Kept, &mut path);
    assert_eq!(path, "/model/a%253Ab%252Fc%2520%25C3%25A9~");
}
