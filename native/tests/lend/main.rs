//! Keys that are lent: by servers of the test's own, and the program with them before a provider.

#![expect(clippy::unwrap_used, reason = "tests: the helpers too")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tollgate_core::secret::Secret;
use tollgate_core::source::{From, Lent, Source};
use tollgate_native::lend::Lenders;
use tollgate_native::upstream::pool::Outside;

const KEY: &str = include_str!("key.pem");
const PUBLIC: &[u8] = include_bytes!("public.der");

/// A request as it came.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    head: String,
    body: String,
}

/// A server that answers by its path.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn new(answer: impl Fn(&Seen) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some((mut stream, request)) = stream.ok().and_then(received) else { continue };
                log.lock().unwrap().push(request.clone());
                let (status, body) = answer(&request);
                let head = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn received(stream: TcpStream) -> Option<(TcpStream, Seen)> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut head) = (String::new(), String::new());
    reader.read_line(&mut line).ok()?;
    loop {
        let mut next = String::new();
        if reader.read_line(&mut next).ok()? <= 2 {
            break;
        }
        head.push_str(&next.to_ascii_lowercase());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let seen = Seen { line: line.trim().to_owned(), head, body: String::from_utf8(body).ok()? };
    Some((reader.into_inner(), seen))
}

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

fn account() -> String {
    json!({"type": "service_account", "client_email": "a@b.test", "private_key_id": "k1", "private_key": KEY,
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
        let source = source(From::Google, &[("json", &account()), ("token_url", &url)]);
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
        assert!(rsa[0].verify_signature(PUBLIC, text.as_bytes(), &signature).is_ok());
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

const GOOGLES: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hello"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":1,"totalTokenCount":3}}"#;
const CLAUDES: &str = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":2,"output_tokens":1}}"#;
const CONVERSED: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"hello"}]}},"stopReason":"end_turn","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"metrics":{"latencyMs":1}}"#;

#[test]
fn the_program_calls_vertex_bedrock_and_azure_with_what_it_is_lent() {
    let server = Server::new(|seen| {
        let path = seen.line.split(' ').nth(1).unwrap_or_default();
        let answer = match path {
            "/token" => r#"{"access_token":"lent-token","expires_in":3600}"#,
            "/container" => CREDENTIALS,
            _ if path.ends_with("gemini-2.5-flash:generateContent") => GOOGLES,
            _ if path.ends_with(":rawPredict") => CLAUDES,
            _ if path.ends_with("/converse") => CONVERSED,
            _ => {
                r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#
            }
        };
        (200, answer.to_owned())
    });
    let (url, account) = (&server.url, account());
    let named = |end: &str| std::env::temp_dir().join(format!("tollgate-{}-lend.{end}", std::process::id()));
    let (file, json) = (named("toml"), named("json"));
    std::fs::write(&json, account).unwrap();
    let document = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \":memory:\"\n\
         [providers.vertex]\nbase_url = \"{url}\"\nproject = \"p-1\"\nlocation = \"europe-west4\"\n\
         keys = [{{ from = \"google\", json = \"file:{}\", token_url = \"{url}/token\" }}]\n\
         [providers.bedrock]\nbase_url = \"{url}\"\nregion = \"us-east-1\"\n\
         keys = [{{ from = \"aws-container\", token_url = \"{url}/container\" }}]\n\
         [providers.azure]\nbase_url = \"{url}/openai/v1\"\n\
         keys = [{{ from = \"entra\", tenant = \"t\", client_id = \"c\", client_secret = \"s\", token_url = \"{url}/token\" }}]\n",
        json.display()
    );
    std::fs::write(&file, document).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["serve", "--workers", "1", "--config"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let ask = |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9})
            .to_string();
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello"), "{model}: {answer}");
        server.seen().last().unwrap().clone()
    };
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let gemini = ask("vertex/gemini-2.5-flash");
        let place = "POST /v1/projects/p-1/locations/europe-west4/publishers";
        assert!(gemini.line.starts_with(&format!("{place}/google/models/gemini-2.5-flash:generateContent")));
        assert!(gemini.head.contains("authorization: bearer lent-token"), "{}", gemini.head);
        let claude = ask("vertex/claude-sonnet-4-5@20250929");
        assert!(
            claude
                .line
                .starts_with(&format!("{place}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"))
        );
        let body: Value = serde_json::from_str(&claude.body).unwrap();
        assert_eq!((&body["anthropic_version"], body.get("model")), (&json!("vertex-2023-10-16"), None));
        let converse = ask("bedrock/amazon.nova-pro-v1:0");
        assert!(converse.head.contains("credential=akia1/"), "{}", converse.head);
        assert!(converse.head.contains("x-amz-security-token: t"));
        let azure = ask("azure/gpt-4o");
        assert!(azure.head.contains("authorization: bearer lent-token") && !azure.head.contains("api-key"));
        let tokens = server.seen().iter().filter(|seen| seen.line.contains("/token ")).count();
        assert_eq!(tokens, 2, "one for each source");
    }));
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&json).unwrap();
    told.unwrap();
}
