//! Upstream calls against a raw TCP server.

#![expect(clippy::unwrap_used, reason = "tests: the helpers too")]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_core::host::{Fetch, FetchError, FetchFault, Head, Reuse, Upstream};
use tollgate_native::upstream::Call;
use tollgate_native::upstream::pool::{Outside, Pool};

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.unwrap().block_on(test);
}

struct Setting {
    pool: Pool,
    listener: TcpListener,
    uri: Uri,
}

impl Setting {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/v1/x?key=secret", listener.local_addr().unwrap()).parse().unwrap();
        let pool = Pool::new(Arc::new(Outside::through(Matcher::builder().build())));
        Self { pool, listener, uri }
    }

    fn call(&self) -> Call {
        Call::new(&self.pool, fetch(self.uri.clone()))
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

fn fetch(uri: Uri) -> Fetch {
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer k"))]);
    Fetch {
        method: Method::POST,
        uri,
        headers,
        body: Bytes::from_static(b"{}"),
        reuse: Reuse::Allowed,
        signing: None,
    }
}

async fn head(call: &mut Call) -> Result<Head, FetchError> {
    poll_fn(|cx| call.poll_head(cx)).await
}

async fn chunk(call: &mut Call) -> Option<Result<Bytes, FetchError>> {
    poll_fn(|cx| call.poll_chunk(cx)).await
}

async fn whole(call: &mut Call) -> Bytes {
    let mut all = Vec::new();
    while let Some(piece) = chunk(call).await {
        all.extend_from_slice(&piece.unwrap());
    }
    all.into()
}

/// Reads one request with the body `{}`.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n{}") {
        assert!(stream.read_buf(&mut text).await.unwrap() > 0, "{}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

async fn answer(stream: &mut TcpStream, body: &str) {
    let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn a_request_says_host_length_and_path() {
    run(async {
        let setting = Setting::new().await;
        let mut call = setting.call();
        let serve = async {
            let mut stream = setting.accept().await;
            let text = request(&mut stream).await.to_lowercase();
            assert!(text.starts_with("post /v1/x?key=secret http/1.1\r\n"), "{text}");
            assert!(text.contains(&format!("\r\nhost: {}\r\n", setting.uri.authority().unwrap())), "{text}");
            assert!(text.contains("\r\ncontent-length: 2\r\n"), "{text}");
            answer(&mut stream, "hello").await;
        };
        let (head, ()) = tokio::join!(head(&mut call), serve);
        assert_eq!(head.unwrap().status, 200);
        assert_eq!(whole(&mut call).await, "hello");
    });
}

#[test]
fn a_connection_is_used_again() {
    run(async {
        let setting = Setting::new().await;
        let serve = async {
            let mut stream = setting.accept().await;
            for body in ["one", "two", ""] {
                request(&mut stream).await;
                answer(&mut stream, body).await;
            }
        };
        let ask = async {
            for body in ["one", "two", ""] {
                let mut call = setting.call();
                head(&mut call).await.unwrap();
                assert_eq!(whole(&mut call).await, body);
            }
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn a_chunked_answer_frees_its_connection_too() {
    run(async {
        let setting = Setting::new().await;
        let serve = async {
            let mut stream = setting.accept().await;
            for _ in 0..2 {
                request(&mut stream).await;
                stream.write_all(CHUNKED).await.unwrap();
                stream.write_all(b"2\r\nab\r\n0\r\n\r\n").await.unwrap();
            }
        };
        let ask = async {
            for _ in 0..2 {
                let mut call = setting.call();
                head(&mut call).await.unwrap();
                assert_eq!(whole(&mut call).await, "ab");
            }
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn a_connection_the_upstream_will_close_is_not_used_again() {
    run(async {
        let setting = Setting::new().await;
        let serve = async {
            for _ in 0..2 {
                let mut stream = setting.accept().await;
                request(&mut stream).await;
                let text = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(text).await.unwrap();
            }
        };
        let ask = async {
            for _ in 0..2 {
                let mut call = setting.call();
                head(&mut call).await.unwrap();
                assert_eq!(whole(&mut call).await, "ok");
            }
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn a_stale_connection_is_told_and_a_fresh_one_can_be_asked_for() {
    run(async {
        let setting = Setting::new().await;
        let serve = async {
            let mut stream = setting.accept().await;
            request(&mut stream).await;
            answer(&mut stream, "one").await;
            // Takes the second request and closes without a word, as a server does that had decided
            // to close while the request was on its way.
            request(&mut stream).await;
            drop(stream);
            let mut stream = setting.accept().await;
            request(&mut stream).await;
            answer(&mut stream, "two").await;
        };
        let ask = async {
            let mut call = setting.call();
            head(&mut call).await.unwrap();
            assert_eq!(whole(&mut call).await, "one");
            assert_eq!(head(&mut setting.call()).await.unwrap_err().kind, FetchFault::Stale);
            let again = Fetch { reuse: Reuse::Forbidden, ..fetch(setting.uri.clone()) };
            let mut call = Call::new(&setting.pool, again);
            head(&mut call).await.unwrap();
            assert_eq!(whole(&mut call).await, "two");
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn a_failure_on_a_fresh_connection_is_not_stale() {
    run(async {
        let setting = Setting::new().await;
        let mut call = setting.call();
        let serve = async {
            let mut stream = setting.accept().await;
            request(&mut stream).await;
        };
        let (head, ()) = tokio::join!(head(&mut call), serve);
        let FetchError { kind, what } = head.unwrap_err();
        assert_eq!(kind, FetchFault::Failed);
        assert!(what.starts_with("127.0.0.1:"), "{what}");
        assert!(!what.contains("secret"), "{what}");
    });
}

#[test]
fn a_half_answered_request_is_not_stale() {
    run(async {
        let setting = Setting::new().await;
        let serve = async {
            let mut stream = setting.accept().await;
            request(&mut stream).await;
            answer(&mut stream, "one").await;
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200").await.unwrap();
        };
        let ask = async {
            let mut call = setting.call();
            head(&mut call).await.unwrap();
            whole(&mut call).await;
            assert_eq!(head(&mut setting.call()).await.unwrap_err().kind, FetchFault::Failed);
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn h10_dropping_a_stream_closes_its_connection() {
    run(async {
        let setting = Setting::new().await;
        let mut call = setting.call();
        let serve = async {
            let mut stream = setting.accept().await;
            request(&mut stream).await;
            stream.write_all(CHUNKED).await.unwrap();
            stream.write_all(b"3\r\none\r\n").await.unwrap();
            let mut rest = Vec::new();
            // A reset or an end: both say that nobody reads any more.
            let _ = stream.read_to_end(&mut rest).await;
            assert!(rest.is_empty());
        };
        let ask = async {
            head(&mut call).await.unwrap();
            assert_eq!(chunk(&mut call).await.unwrap().unwrap(), "one");
            drop(call);
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn chunks_come_one_by_one_and_what_is_ready_together_comes_together() {
    run(async {
        let setting = Setting::new().await;
        let mut call = setting.call();
        let (said, mut heard) = tokio::sync::mpsc::channel::<()>(1);
        let serve = async {
            let mut stream = setting.accept().await;
            request(&mut stream).await;
            stream.write_all(CHUNKED).await.unwrap();
            stream.write_all(b"3\r\none\r\n").await.unwrap();
            heard.recv().await.unwrap();
            stream.write_all(b"3\r\ntwo\r\n5\r\nthree\r\n4\r\nfour\r\n0\r\n\r\n").await.unwrap();
        };
        let ask = async {
            head(&mut call).await.unwrap();
            assert_eq!(chunk(&mut call).await.unwrap().unwrap(), "one");
            said.send(()).await.unwrap();
            assert_eq!(chunk(&mut call).await.unwrap().unwrap(), "twothreefour");
            assert!(chunk(&mut call).await.is_none());
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn h3_a_cut_answer_is_an_error_after_what_came() {
    run(async {
        for start in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            let setting = Setting::new().await;
            let mut call = setting.call();
            let serve = async {
                let mut stream = setting.accept().await;
                request(&mut stream).await;
                stream.write_all(start.as_bytes()).await.unwrap();
            };
            let ask = async {
                head(&mut call).await.unwrap();
                assert_eq!(chunk(&mut call).await.unwrap().unwrap(), "half");
                assert!(chunk(&mut call).await.unwrap().is_err());
                assert!(chunk(&mut call).await.is_none());
            };
            tokio::join!(serve, ask);
        }
    });
}

#[test]
fn nobody_there_is_an_error_that_names_where() {
    run(async {
        let Setting { pool, listener, uri } = Setting::new().await;
        drop(listener);
        let what = head(&mut Call::new(&pool, fetch(uri))).await.unwrap_err().what;
        assert!(what.starts_with("127.0.0.1:") && what.contains("refused"), "{what}");
        assert!(!what.contains("secret") && !what.contains("Bearer"), "{what}");
    });
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_with_its_credentials() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:word@{}", listener.local_addr().unwrap());
        let pool = Pool::new(Arc::new(Outside::through(Matcher::builder().http(proxy).build())));
        let mut call = Call::new(&pool, fetch(Uri::from_static("http://llm.example/v1/x")));
        let serve = async {
            let mut stream = listener.accept().await.unwrap().0;
            let text = request(&mut stream).await;
            assert!(text.starts_with("POST http://llm.example/v1/x HTTP/1.1\r\n"), "{text}");
            assert!(text.contains("proxy-authorization: Basic dXNlcjp3b3Jk\r\n"), "{text}");
            assert!(text.contains("host: llm.example\r\n"), "{text}");
            answer(&mut stream, "ok").await;
        };
        let (head, ()) = tokio::join!(head(&mut call), serve);
        assert_eq!(head.unwrap().status, 200);
    });
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_where_the_upstream_is_encrypted() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:word@{}", listener.local_addr().unwrap());
        let pool = Pool::new(Arc::new(Outside::through(Matcher::builder().https(proxy).build())));
        let mut call = Call::new(&pool, fetch(Uri::from_static("https://llm.example/v1/x")));
        let serve = async {
            let mut stream = listener.accept().await.unwrap().0;
            let mut text = Vec::new();
            while !text.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut text).await.unwrap() > 0);
            }
            let text = String::from_utf8(text).unwrap();
            assert!(text.starts_with("CONNECT llm.example:443 HTTP/1.1\r\n"), "{text}");
            assert!(text.contains("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n"), "{text}");
            assert!(!text.contains("Bearer"), "{text}");
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
        };
        let (head, ()) = tokio::join!(head(&mut call), serve);
        let FetchError { kind, what } = head.unwrap_err();
        assert_eq!(kind, FetchFault::Failed);
        assert!(what.contains("refused the tunnel (403)") && !what.contains("word"), "{what}");
    });
}
