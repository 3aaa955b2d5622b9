use crate::client::{Client, PLAIN, STREAM, encrypted, read_until, text};
use crate::gateway::Setup;
use crate::provider::{Certificate, Provider};
use crate::run;
use http::Method;

fn base(provider: &Provider) -> String {
    format!("http://{}/v1", provider.address)
}

#[test]
fn encrypted_clients_get_http2_if_they_can_and_http1_if_not() {
    run(async {
        let provider = Provider::plain().await;
        let certificate = Certificate::of("gateway.example");
        let gateway = Setup::new("alpn", &base(&provider)).presenting(&certificate).start();
        assert!(gateway.greeting.contains("https://"), "{}", gateway.greeting);
        for (offered, agreed) in [
            (&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".as_slice())),
            (&[b"http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let stream = encrypted(gateway.address, &certificate, offered).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
            let mut client = match agreed {
                Some(b"h2") => Client::http2_on(stream).await,
                _ => Client::http1_on(stream).await,
            };
            let answer = client.call(PLAIN).await;
            assert_eq!(answer.status(), 200);
            assert!(text(answer).await.contains("hello"));
        }
    });
}

#[test]
fn a_client_that_does_not_encrypt_disturbs_nobody() {
    run(async {
        let provider = Provider::plain().await;
        let certificate = Certificate::of("gateway.example");
        let gateway = Setup::new("plain-on-tls", &base(&provider)).presenting(&certificate).start();
        let mut lost = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut lost, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut lost, &mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1"));
        let stream = encrypted(gateway.address, &certificate, &[b"h2"]).await.unwrap();
        assert_eq!(Client::http2_on(stream).await.ask(Method::GET, "/healthz", "").await.status(), 200);
    });
}

#[test]
fn a_new_certificate_is_taken_up_and_old_connections_go_on() {
    run(async {
        let provider = Provider::plain().await;
        let (old, new) = (Certificate::of("gateway.example"), Certificate::of("gateway.example"));
        let gateway = Setup::new("certificate", &base(&provider)).presenting(&old).start();
        let mut before = Client::http1_on(encrypted(gateway.address, &old, &[]).await.unwrap()).await;
        assert!(encrypted(gateway.address, &new, &[]).await.is_err());
        gateway.replace(&new);
        // By itself, within a second or two.
        let stream = loop {
            if let Ok(stream) = encrypted(gateway.address, &new, &[]).await {
                break stream;
            }
        };
        for client in [&mut Client::http1_on(stream).await, &mut before] {
            assert_eq!(client.call(PLAIN).await.status(), 200);
        }
        assert!(encrypted(gateway.address, &old, &[]).await.is_err());
    });
}

#[test]
fn plain_clients_may_speak_http2_without_asking() {
    run(async {
        let mut provider = Provider::plain().await;
        let gateway = Setup::new("prior", &base(&provider)).start();
        let mut client = Client::http2(gateway.address).await;
        assert!(text(client.call(PLAIN).await).await.contains("hello"));
        let mut answers = Vec::new();
        for word in ["one", "two"] {
            let mut answer = tokio::join!(client.call(STREAM), async {
                let live = provider.stream().await;
                live.say(word).await;
                answers.push(live);
            })
            .0;
            read_until(&mut answer, word).await;
            answers.pop().unwrap().finish().await;
            assert!(text(answer).await.contains("[DONE]"));
        }
    });
}

#[test]
fn h10_a_stream_that_is_reset_is_cancelled_upstream_and_the_others_go_on() {
    run(async {
        let mut provider = Provider::plain().await;
        let gateway = Setup::new("reset", &base(&provider)).start();
        let mut client = Client::http2(gateway.address).await;
        let mut begin = async |word: &str| {
            let begun = async {
                let live = provider.stream().await;
                live.say(word).await;
                live
            };
            let (mut answer, live) = tokio::join!(client.call(STREAM), begun);
            read_until(&mut answer, word).await;
            (answer, live)
        };
        let (left, left_live) = begin("one").await;
        let (stayed, stayed_live) = begin("two").await;
        drop(left);
        left_live.abandoned().await;
        stayed_live.say("three").await;
        stayed_live.finish().await;
        let rest = text(stayed).await;
        assert!(rest.contains("three") && rest.contains("[DONE]"), "{rest}");
    });
}
