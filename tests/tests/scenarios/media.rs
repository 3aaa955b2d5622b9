//! Pictures that a client names by address, before a provider that fetches none.

use crate::setting::{Setting, assert_refused, body_json};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use tollgate_tests::http::{Answer, Request};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot much of a picture";
/// It in base64.
const INLINE: &str = "iVBORw0KGgpub3QgbXVjaCBvZiBhIHBpY3R1cmU=";

/// A server of pictures, which remembers what it was asked.
struct Pictures {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Pictures {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let Some(first) = head.first() else { continue };
                let path = first.split(' ').nth(1).unwrap().to_owned();
                let mut answer = match path.as_str() {
                    "/moved" => b"HTTP/1.1 302 Found\r\nlocation: /cat\r\ncontent-length: 0\r\n\r\n".to_vec(),
                    "/inside" => {
                        b"HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n"
                            .to_vec()
                    }
                    "/round" => {
                        b"HTTP/1.1 302 Found\r\nlocation: /round\r\ncontent-length: 0\r\n\r\n".to_vec()
                    }
                    "/huge" => b"HTTP/1.1 200 OK\r\ncontent-length: 30000000\r\n\r\n".to_vec(),
                    "/gone" => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
                    _ => format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
                        PNG.len()
                    )
                    .into_bytes(),
                };
                if path == "/cat" {
                    answer.extend_from_slice(PNG);
                }
                seen.lock().unwrap().push(head.join("\n"));
                let _ = stream.write_all(&answer);
                if path == "/huge" {
                    let _ = stream.write_all(&vec![0; 30_000_000]);
                }
            }
        });
        Self { address, asked }
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn shown(setting: &Setting, model: &str, url: &str) -> Answer {
    let picture = json!({"type": "image_url", "image_url": {"url": url}});
    let content = json!([{"type": "text", "text": "hello"}, picture]);
    let body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
    setting.gateway.ask(&Request::post("/v1/chat/completions", &body))
}

fn inline(setting: &Setting) -> Value {
    body_json(&setting.last())["contents"][0]["parts"][1].clone()
}

#[test]
fn a_picture_is_fetched_where_the_config_says_so_and_goes_along_inline() {
    let pictures = Pictures::serve();
    let setting = Setting::new("[server]\nfetch_media = \"any\"\n");
    for path in ["/cat", "/moved"] {
        let answer = shown(&setting, "gem/m", &pictures.at(path));
        assert_eq!(answer.status, 200, "{}", answer.text());
        // What the bytes are counts, not their label.
        assert_eq!(inline(&setting), json!({"inlineData": {"mimeType": "image/png", "data": INLINE}}));
    }
    let asked = pictures.asked.lock().unwrap().join("\n").to_lowercase();
    for secret in ["authorization", "cookie", "api-key", "sk-"] {
        assert!(!asked.contains(secret), "{asked}");
    }
}

#[test]
fn whoever_fetches_by_itself_is_given_the_address() {
    let pictures = Pictures::serve();
    let setting = Setting::new("[server]\nfetch_media = \"any\"\n");
    for model in ["claude/m", "one/m"] {
        let answer = shown(&setting, model, &pictures.at("/cat"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(pictures.asked(), 0);
}

#[test]
fn nothing_is_fetched_unless_the_config_says_so_and_nothing_inside_where_it_says_public() {
    let pictures = Pictures::serve();
    for (config, says) in
        [("", "send the data inline"), ("[server]\nfetch_media = \"public\"\n", "its host is not public")]
    {
        let setting = Setting::new(config);
        let port = pictures.address.port();
        let names = ["127.0.0.1", "localhost", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0"];
        for name in names {
            let answer = shown(&setting, "gem/m", &format!("http://{name}:{port}/cat"));
            assert_refused(&answer, 400, "invalid_request_error", "unsupported");
            let error = answer.error();
            assert_eq!(error["param"], "messages[0].content[1].image_url", "{error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(says) || message.contains("its host is not known"), "{name}: {message}");
        }
        assert!(setting.log().is_empty());
    }
    assert_eq!(pictures.asked(), 0);
}

#[test]
fn a_picture_that_does_not_come_is_told_with_its_place_and_why() {
    let pictures = Pictures::serve();
    let setting = Setting::new("[server]\nfetch_media = \"any\"\n");
    for (path, why) in [
        ("/gone", "its server answered 404"),
        ("/huge", "more than 20971520 bytes"),
        ("/round", "redirects more than 3 times"),
        ("/inside", "redirects to no URL"),
    ] {
        let answer = shown(&setting, "gem/m", &pictures.at(path));
        assert_refused(&answer, 400, "invalid_request_error", "unsupported");
        let message = answer.error()["message"].to_string();
        assert!(message.contains(why), "{path}: {message}");
        assert!(message.contains("messages[0].content[1].image_url"), "{message}");
    }
    assert!(setting.log().is_empty());
}
