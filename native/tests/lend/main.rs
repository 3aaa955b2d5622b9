//! Keys that are lent: by servers of the test's own, and the program with them before a provider.

#![expect(clippy::unwrap_used, reason = "tests: the helpers too")]

mod clouds;
mod key;
#[path = "../start/program.rs"]
mod program;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::client::proxy::matcher::Matcher;
use key::Key;
use serde_json::{Value, json};
use server::Server;
use std::sync::{Arc, Mutex};
use tollgate_core::secret::Secret;
use tollgate_core::source::{From, Lent, Source};
use tollgate_native::lend::Lenders;
use tollgate_native::upstream::pool::Outside;

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.unwrap().block_on(test);
}

fn source(from: From, given: &[(&'static str, &str)]) -> Arc<Source> {
    let given = given.iter().map(|(name, value)| (*name, Secret::new(*value))).collect();
    Arc::new(Source { from, given, region: "us-east-1".to_owned() })
}

async fn lend(lenders: &Lenders, source: &Arc<Source>) -> Result<Lent, String> {
    let outside = Arc::new(Outside::through(Matcher::builder().build()));
    lenders.lend(Arc::clone(source), outside).await
}

fn token(text: &str) -> Lent {
    Lent::Token(Secret::new(text))
}

fn account(key: &Key) -> String {
    json!({"type": "service_account", "client_email": "a@b.test", "private_key_id": "k1", "private_key": key.private,
           "token_uri": "https://never.test/token"})
    .to_string()
}

/// The fields of a form, without escapes that these tests need.
fn field<'f>(form: &'f str, name: &str) -> &'f str {
    form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

#[test]
fn a_service_account_signs_for_itself_once_for_many_calls() {
    let server = Server::new(|_| (200, json!({"access_token": "lent-1", "expires_in": 3600}).to_string()));
    run(async {
        let (lenders, url) = (Lenders::default(), format!("{}/token", server.url));
        let key = Key::new();
        let source = source(From::Google, &[("json", &account(&key)), ("token_url", &url)]);
        assert_eq!(lenders.at_hand(&source), None);
        let (one, two, three) =
            tokio::join!(lend(&lenders, &source), lend(&lenders, &source), lend(&lenders, &source));
        assert_eq!(
            [one.unwrap(), two.unwrap(), three.unwrap()],
            [token("lent-1"), token("lent-1"), token("lent-1")]
        );
        assert_eq!(lenders.at_hand(&source), Some(token("lent-1")));
        let seen = server.seen();
        assert_eq!(seen.len(), 1, "one question for all");
        let jwt = field(&seen[0].body, "assertion").to_owned();
        let pieces: Vec<&str> = jwt.split('.').collect();
        let read =
            |text: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap() };
        assert_eq!(read(pieces[0]), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        let claims = read(pieces[1]);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("a@b.test"), &json!(url)));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let (_, rsa) = algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == rustls::SignatureScheme::RSA_PKCS1_SHA256)
            .unwrap();
        let text = format!("{}.{}", pieces[0], pieces[1]);
        let signature = URL_SAFE_NO_PAD.decode(pieces[2]).unwrap();
        assert!(rsa[0].verify_signature(&key.public, text.as_bytes(), &signature).is_ok());
    });
}

#[test]
fn a_key_about_to_end_is_not_sent_and_one_that_is_still_good_outlives_a_source_that_fails() {
    let number = Mutex::new(0);
    let server = Server::new(move |_| {
        let mut number = number.lock().unwrap();
        *number += 1;
        match *number {
            // Over within the time a call needs, then due for renewal at once, then nothing more.
            1 => (200, json!({"access_token": "first", "expires_in": 1}).to_string()),
            2 => (200, json!({"access_token": "second", "expires_in": 20}).to_string()),
            _ => (500, json!({"error": "secret-words"}).to_string()),
        }
    });
    run(async {
        let lenders = Lenders::default();
        let source = source(From::Ibm, &[("api_key", "planted-key"), ("token_url", &server.url)]);
        assert_eq!(lend(&lenders, &source).await.unwrap(), token("first"));
        assert_eq!(lend(&lenders, &source).await.unwrap(), token("second"));
        assert_eq!(lend(&lenders, &source).await.unwrap(), token("second"), "it holds for half of its life");
        assert_eq!(server.seen().len(), 2);
    });
}

#[test]
fn a_source_that_refuses_is_named_without_its_words_and_left_alone_for_a_while() {
    let server = Server::new(|_| {
        (400, json!({"error": "invalid_grant", "error_description": "planted-key"}).to_string())
    });
    run(async {
        let lenders = Lenders::default();
        let source = source(From::Ibm, &[("api_key", "planted-key"), ("token_url", &server.url)]);
        let why = lend(&lenders, &source).await.unwrap_err();
        assert!(why.contains("answered 400 (invalid_grant)") && !why.contains("planted"), "{why}");
        assert_eq!(lend(&lenders, &source).await.unwrap_err(), why);
        assert_eq!(server.seen().len(), 1, "asked once");
    });
}

#[test]
fn entra_and_azures_machines_are_asked_in_their_words() {
    let server = Server::new(|_| (200, json!({"access_token": "t", "expires_in": "3599"}).to_string()));
    run(async {
        let lenders = Lenders::default();
        let given =
            [("tenant", "t1"), ("client_id", "c1"), ("client_secret", "s&1"), ("token_url", &*server.url)];
        assert_eq!(lend(&lenders, &source(From::Entra, &given)).await.unwrap(), token("t"));
        let form = server.seen()[0].body.clone();
        assert_eq!(field(&form, "grant_type"), "client_credentials");
        assert_eq!(field(&form, "client_secret"), "s%261");
        assert_eq!(field(&form, "scope"), "https%3A%2F%2Fcognitiveservices.azure.com%2F.default");
        let given = [("token_url", &*server.url)];
        assert_eq!(lend(&lenders, &source(From::ManagedIdentity, &given)).await.unwrap(), token("t"));
        let asked = server.seen()[1].clone();
        assert!(
            asked.line.starts_with("GET /?api-version=2018-02-01&resource=https%3A%2F%2Fcog"),
            "{}",
            asked.line
        );
        assert!(asked.head.contains("metadata: true"));
    });
}

const CREDENTIALS: &str =
    r#"{"AccessKeyId":"AKIA1","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}"#;

#[test]
fn aws_instances_containers_and_web_identities_lend_access_keys() {
    let server = Server::new(|seen| match seen.line.as_str() {
        "PUT /latest/api/token HTTP/1.1" => (200, "session".to_owned()),
        _ if seen.line.starts_with("GET /latest/")
            && !seen.head.contains("x-aws-ec2-metadata-token: session") =>
        {
            (401, String::new())
        }
        "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" => (200, "role-1".to_owned()),
        "GET /latest/meta-data/iam/security-credentials/role-1 HTTP/1.1" | "GET /container HTTP/1.1" => {
            (200, CREDENTIALS.to_owned())
        }
        "POST /sts HTTP/1.1" => {
            let credentials = json!({"AccessKeyId": "AKIA2", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": 4.1e9});
            let result = json!({"AssumeRoleWithWebIdentityResult": {"Credentials": credentials}});
            (200, json!({"AssumeRoleWithWebIdentityResponse": result}).to_string())
        }
        _ => (404, String::new()),
    });
    let file = std::env::temp_dir().join(format!("tollgate-{}-web-identity", std::process::id()));
    std::fs::write(&file, "web-token\n").unwrap();
    run(async {
        let lenders = Lenders::default();
        let id = |lent: Lent| match lent {
            Lent::Access(key) => key.id,
            Lent::Token(_) => "a token".to_owned(),
        };
        let instance = source(From::AwsInstance, &[("token_url", &server.url)]);
        assert_eq!(id(lend(&lenders, &instance).await.unwrap()), "AKIA1");
        let container = source(From::AwsContainer, &[("token_url", &format!("{}/container", server.url))]);
        assert_eq!(id(lend(&lenders, &container).await.unwrap()), "AKIA1");
        let given = [
            ("role", "arn:aws:iam::1:role/r"),
            ("token_file", file.to_str().unwrap()),
            ("token_url", &format!("{}/sts", server.url)),
        ];
        assert_eq!(id(lend(&lenders, &source(From::AwsWebIdentity, &given)).await.unwrap()), "AKIA2");
        let form = server.seen().last().unwrap().body.clone();
        assert_eq!(field(&form, "Action"), "AssumeRoleWithWebIdentity");
        assert_eq!(field(&form, "WebIdentityToken"), "web-token");
    });
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn workload_identity_that_is_had_in_another_way_is_refused_by_its_name() {
    run(async {
        for name in ["environment_id", "executable"] {
            let file = json!({"type": "external_account", "token_url": "http://127.0.0.1:9/", "audience": "a",
                "credential_source": {name: "x", "url": "http://127.0.0.1:9/"}});
            let source = source(From::Google, &[("json", &file.to_string())]);
            let why = lend(&Lenders::default(), &source).await.unwrap_err();
            assert!(why.contains(&format!("credential_source with {name} is not supported")), "{why}");
        }
    });
}
