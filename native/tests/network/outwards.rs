use crate::client::{Client, PLAIN, STREAM, read_until, text};
use crate::gateway::Setup;
use crate::provider::{Certificate, Provider, Speaks};
use crate::run;
use futures::{SinkExt as _, StreamExt as _};
use http::Version;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

fn base(provider: &Provider) -> String {
    format!("https://{}/v1", provider.address)
}

#[test]
fn an_upstream_with_a_private_root_is_reached_by_what_it_speaks() {
    run(async {
        let certificate = Certificate::of("127.0.0.1");
        for (speaks, version) in [(Speaks::Http1, Version::HTTP_11), (Speaks::Http2, Version::HTTP_2)] {
            let provider = Provider::encrypted(&certificate, speaks).await;
            let gateway =
                Setup::new(&format!("root-{speaks:?}"), &base(&provider)).trusting(&certificate).start();
            let mut client = Client::http1(gateway.address).await;
            for _ in 0..3 {
                assert!(text(client.call(PLAIN).await).await.contains("hello"));
            }
            assert_eq!(provider.seen.connections.get(), 1);
            let requests = provider.seen.requests.borrow();
            assert_eq!(requests.len(), 3);
            for head in requests.iter() {
                assert_eq!((head.version, head.uri.path()), (version, "/v1/chat/completions"));
                assert_eq!(head.headers.get("authorization").unwrap(), "Bearer k");
            }
        }
    });
}

#[test]
fn an_upstream_that_nobody_vouches_for_is_not_told_anything() {
    run(async {
        let (trusted, presented) = (Certificate::of("127.0.0.1"), Certificate::of("127.0.0.1"));
        let provider = Provider::encrypted(&presented, Speaks::Http2).await;
        let gateway = Setup::new("untrusted", &base(&provider)).trusting(&trusted).start();
        let answer = Client::http1(gateway.address).await.call(PLAIN).await;
        assert!(answer.status().is_server_error(), "{}", answer.status());
        assert!(provider.seen.requests.borrow().is_empty());
    });
}

#[test]
fn calls_share_an_http2_connection_and_leaving_one_resets_only_that() {
    run(async {
        let certificate = Certificate::of("127.0.0.1");
        let mut provider = Provider::encrypted(&certificate, Speaks::Http2).await;
        let gateway = Setup::new("share", &base(&provider)).trusting(&certificate).start();
        let mut calls = Vec::new();
        for number in 0..8 {
            let mut client = Client::http1(gateway.address).await;
            let word = format!("word{number}");
            let begun = async {
                let live = provider.stream().await;
                live.say(&word).await;
                live
            };
            let (mut answer, live) = tokio::join!(client.call(STREAM), begun);
            read_until(&mut answer, &word).await;
            calls.push((client, answer, live));
        }
        assert_eq!(provider.seen.connections.get(), 1);
        let (client, answer, live) = calls.swap_remove(3);
        drop((client, answer));
        live.abandoned().await;
        for (_client, answer, live) in calls {
            live.say("more").await;
            live.finish().await;
            let rest = text(answer).await;
            assert!(rest.contains("more") && rest.contains("[DONE]"), "{rest}");
        }
        assert_eq!(provider.seen.connections.get(), 1);
    });
}

#[test]
fn calls_that_come_together_wait_for_one_http2_connection() {
    run(async {
        let certificate = Certificate::of("127.0.0.1");
        let provider = Provider::encrypted(&certificate, Speaks::Http2).await;
        let gateway = Setup::new("together", &base(&provider)).trusting(&certificate).start();
        let (mut a, mut b, mut c) = tokio::join!(
            Client::http1(gateway.address),
            Client::http1(gateway.address),
            Client::http1(gateway.address)
        );
        let (a, b, c) = tokio::join!(a.call(PLAIN), b.call(PLAIN), c.call(PLAIN));
        assert_eq!([a.status(), b.status(), c.status()], [200; 3]);
        assert_eq!(provider.seen.connections.get(), 1);
    });
}

#[test]
fn realtime_sessions_go_through_tls_to_an_upstream_that_is_vouched_for() {
    run(async {
        let (trusted, other) = (Certificate::of("127.0.0.1"), Certificate::of("127.0.0.1"));
        for presented in [&trusted, &other] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let acceptor = presented.acceptor(Speaks::Http1);
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    // A client that does not trust us leaves here.
                    let Ok(stream) = acceptor.accept(stream).await else { continue };
                    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                    while let Some(Ok(message @ Message::Text(_))) = socket.next().await {
                        socket.send(message).await.unwrap();
                    }
                }
            });
            let gateway = Setup::new(&format!("wss-{}", address.port()), &format!("https://{address}/v1"))
                .trusting(&trusted)
                .start();
            let stream = TcpStream::connect(gateway.address).await.unwrap();
            let url = format!("ws://{}/v1/realtime?model=up/m", gateway.address);
            let opened = tokio_tungstenite::client_async(url, stream).await;
            if std::ptr::eq(presented, &other) {
                assert!(opened.is_err(), "nobody vouches for it");
                continue;
            }
            let (mut socket, _) = opened.unwrap();
            for word in ["one", "two"] {
                socket.send(Message::text(word)).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(word));
            }
        }
    });
}
