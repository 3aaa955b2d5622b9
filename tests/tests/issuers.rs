//! Tokens of other issuers: the gateway program, an issuer that serves its keys and counts who asks, and
//! a simulated provider.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tollgate_sim::Running;
use tollgate_tests::gateway::{Folder, Gateway, command, eventually, output};
use tollgate_tests::http::{Answer, Request};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate-under-test");

/// What an issuer answers.
#[derive(Clone, Debug)]
enum Says {
    /// These keys.
    Keys(String),
    /// Exactly this.
    Raw(String),
    /// Nothing: it hangs up.
    Nothing,
}

/// An issuer: a server that says what it is told to, and notes what was asked for.
struct Issuer {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    fn new(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
        let address = listener.local_addr().expect("it has an address");
        let issuer = Self { address, says: Arc::new(Mutex::new(says)), asked: Arc::default() };
        let (says, asked) = (Arc::clone(&issuer.says), Arc::clone(&issuer.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                Self::answer(stream, &says, &asked);
            }
        });
        issuer
    }

    fn answer(mut stream: TcpStream, says: &Mutex<Says>, asked: &Mutex<Vec<String>>) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        asked.lock().expect("nobody panicked").push(line);
        let answer = match says.lock().expect("nobody panicked").clone() {
            Says::Keys(keys) => whole("200 OK", &keys),
            Says::Raw(answer) => answer,
            Says::Nothing => return,
        };
        let _ = stream.write_all(answer.as_bytes());
    }

    fn say(&self, says: Says) {
        *self.says.lock().expect("nobody panicked") = says;
    }

    fn fetches(&self) -> usize {
        self.asked.lock().expect("nobody panicked").len()
    }
}

fn whole(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A document with the public key of this seed under this name.
fn jwks(kid: &str, seed: u8) -> String {
    let x = URL_SAFE_NO_PAD.encode(signing(seed).verifying_key().as_bytes());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "alg": "EdDSA", "use": "sig"}]})
        .to_string()
}

/// A token that this key has signed.
fn token(kid: &str, seed: u8, with: Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let mut body = json!({"iss": "https://id.example", "aud": "gate", "sub": "ann", "exp": now + 600});
    for (name, value) in with.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": kid})), part(&body));
    let signature = signing(seed).sign(text.as_bytes()).to_bytes();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn config(place: &str, sim: SocketAddr) -> String {
    format!(
        r#"
        [server]
        admin_key = "root-of-it-all"
        [tokens]
        issuers = [{{ issuer = "https://id.example", audience = "gate", jwks = "{place}", key = "staff" }}]
        [providers.one]
        kind = "openai"
        base_url = "http://{sim}/v1"
        keys = [{{ value = "sk-provider-one" }}]
        [[keys]]
        name = "staff"
        value = "tg-0123456789abcdef0123456789abcdef"
        "#
    )
}

struct Setting {
    gateway: Gateway,
    issuer: Issuer,
    _sim: Running,
}

impl Setting {
    fn new(says: Says) -> Self {
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let issuer = Issuer::new(says);
        let place = format!("http://{}/keys", issuer.address);
        let gateway = Gateway::start(PROGRAM, &config(&place, sim.addr));
        Self { gateway, issuer, _sim: sim }
    }

    fn chat(&self, token: &str) -> Answer {
        chat(&self.gateway, token)
    }
}

fn chat(gateway: &Gateway, token: &str) -> Answer {
    let question = json!({"model": "one/m", "messages": [{"role": "user", "content": "hello"}]});
    gateway.ask(
        &Request::post("/v1/chat/completions", &question).header("authorization", &format!("Bearer {token}")),
    )
}

#[test]
fn keys_are_fetched_when_the_first_token_comes_and_once_for_all_who_wait() {
    let setting = Setting::new(Says::Keys(jwks("a", 1)));
    assert_eq!(setting.issuer.fetches(), 0, "nothing is fetched at the start");
    let token = token("a", 1, json!({}));
    let together = Barrier::new(20);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                together.wait();
                let answer = setting.chat(&token);
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    assert_eq!(setting.issuer.fetches(), 1);
    assert_eq!(setting.issuer.asked.lock().unwrap()[0], "GET /keys HTTP/1.1");
}

#[test]
fn tokens_that_nobody_signed_do_not_make_the_gateway_hammer_an_issuer() {
    let setting = Setting::new(Says::Keys(jwks("a", 1)));
    for number in 0..30 {
        let answer = setting.chat(&token(&format!("b{number}"), 2, json!({})));
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_key"));
    }
    assert_eq!(setting.issuer.fetches(), 1);
    let forged = setting.chat(&token("a", 2, json!({})));
    assert_eq!((forged.status, forged.code().as_str()), (401, "invalid_key"));
    assert_eq!(setting.chat(&token("a", 1, json!({}))).status, 200);
    assert_eq!(setting.issuer.fetches(), 1, "known keys are not fetched again");
}

#[test]
fn an_issuer_that_is_gone_does_not_take_its_keys_with_it() {
    let setting = Setting::new(Says::Keys(jwks("a", 1)));
    let token = token("a", 1, json!({}));
    assert_eq!(setting.chat(&token).status, 200);
    setting.issuer.say(Says::Nothing);
    assert_eq!(setting.chat(&token).status, 200);
}

#[test]
fn what_is_no_document_of_keys_with_a_200_is_refused_and_told_to_come_back() {
    let keys = jwks("a", 1);
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10));
    let moved = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned();
    for (says, told) in [
        (Says::Raw(moved), "it answered 302, expected 200"),
        (Says::Raw(whole("500 Oh", &keys)), "it answered 500, expected 200"),
        (Says::Raw(whole("200 OK", "<html>")), "no list of `keys`"),
        (Says::Raw(whole("200 OK", &large)), "more than 262144 bytes"),
        (Says::Nothing, "cannot be fetched"),
    ] {
        let setting = Setting::new(says);
        for _ in 0..2 {
            let answer = setting.chat(&token("a", 1, json!({})));
            assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"), "{told}");
            assert!(!answer.header("retry-after").is_empty());
        }
        setting.gateway.wait_for(told);
        let asked = setting.issuer.asked.lock().unwrap().clone();
        assert_eq!(asked, ["GET /keys HTTP/1.1"], "{told}: once, and nowhere else");
    }
}

#[test]
fn the_admin_api_takes_such_tokens_too_as_those_of_a_caller() {
    let setting = Setting::new(Says::Keys(jwks("a", 1)));
    let token = token("a", 1, json!({}));
    let ask = |target: &str| setting.gateway.ask(&Request::get(target).header("x-api-key", &token));
    let answer = ask("/api/me");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(ask("/api/keys").code(), "not_permitted", "a token is for calls, whatever its key may do");
    assert_eq!(setting.issuer.fetches(), 1);
}

#[test]
fn keys_in_a_file_are_read_at_the_start_and_when_it_changes() {
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    let folder = Folder::new();
    let file = folder.path().join("keys.json");
    let config = config(&format!("file:{}", file.display()), sim.addr);

    let written = folder.path().join("gateway.toml");
    std::fs::write(&written, &config).expect("a config can be written");
    for arguments in [&["check"][..], &["serve", "--listen", "127.0.0.1:0", "--config"][..]] {
        let mut program = command(PROGRAM, &folder);
        program.args(arguments);
        let done = output(program, &[&written]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success());
        assert!(said.contains("tokens.issuers[0].jwks: ") && said.contains("fix: "), "{said}");
    }

    std::fs::write(&file, jwks("a", 1)).expect("keys can be written");
    let gateway = Gateway::start(PROGRAM, &config);
    let (one, two) = (token("a", 1, json!({})), token("b", 2, json!({})));
    assert_eq!((chat(&gateway, &one).status, chat(&gateway, &two).status), (200, 401));
    std::fs::write(&file, jwks("b", 2)).expect("keys can be written");
    eventually("the new keys are taken up", || chat(&gateway, &two).status == 200);
    assert_eq!(chat(&gateway, &one).status, 401);
    std::fs::write(&file, "{}").expect("keys can be written");
    gateway.wait_for("the new config is refused");
    assert_eq!(chat(&gateway, &two).status, 200, "the old keys stay");
}

#[test]
fn k3_a_token_whose_requests_are_used_up_is_told_when_it_expires() {
    let setting = Setting::new(Says::Keys(jwks("a", 1)));
    let token = token("a", 1, json!({"max_requests": 1, "jti": "once"}));
    assert_eq!(setting.chat(&token).status, 200);
    let answer = setting.chat(&token);
    assert_eq!((answer.status, answer.code().as_str()), (429, "rpm_exceeded"));
    let wait: u64 = answer.header("retry-after").parse().expect("a number of seconds");
    assert!((500..=600).contains(&wait), "{wait}");
}
