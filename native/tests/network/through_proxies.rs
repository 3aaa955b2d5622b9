use crate::client::{Client, PLAIN, text};
use crate::gateway::Setup;
use crate::provider::{Certificate, Provider, Speaks};
use crate::proxy::Proxy;
use crate::run;

#[test]
fn an_encrypted_upstream_is_reached_through_a_tunnel() {
    run(async {
        let certificate = Certificate::of("llm.example");
        for speaks in [Speaks::Http1, Speaks::Http2] {
            let provider = Provider::encrypted(&certificate, speaks).await;
            let proxy = Proxy::to(provider.address).await;
            // The name is the proxy's to resolve: here it means nothing.
            let gateway = Setup::new(&format!("tunnel-{speaks:?}"), "https://llm.example/v1")
                .trusting(&certificate)
                .with("HTTPS_PROXY", format!("http://user:word@{}", proxy.address))
                .start();
            let mut client = Client::http1(gateway.address).await;
            for _ in 0..2 {
                assert!(text(client.call(PLAIN).await).await.contains("hello"));
            }
            let asked = proxy.asked.borrow();
            assert_eq!(asked.len(), 1, "one tunnel serves both");
            assert!(asked.iter().all(|head| head.starts_with("CONNECT llm.example:443 HTTP/1.1\r\n")));
            assert!(!asked.iter().any(|head| head.contains("Bearer")), "the key is for the upstream alone");
        }
    });
}

#[test]
fn a_proxy_that_wants_other_credentials_is_an_error_without_them() {
    run(async {
        let certificate = Certificate::of("llm.example");
        let provider = Provider::encrypted(&certificate, Speaks::Http1).await;
        let proxy = Proxy::to(provider.address).await;
        let gateway = Setup::new("credentials", "https://llm.example/v1")
            .trusting(&certificate)
            .with("HTTPS_PROXY", format!("http://user:wrong@{}", proxy.address))
            .start();
        let answer = Client::http1(gateway.address).await.call(PLAIN).await;
        assert!(answer.status().is_server_error(), "{}", answer.status());
        let text = text(answer).await;
        assert!(!text.contains("wrong"), "{text}");
        assert!(provider.seen.requests.borrow().is_empty());
    });
}

#[test]
fn a_plain_upstream_is_asked_for_by_its_whole_url() {
    run(async {
        // It answers for everybody, as a proxy does.
        let proxy = Provider::plain().await;
        let gateway = Setup::new("forward", "http://llm.example/v1")
            .with("HTTP_PROXY", format!("http://user:word@{}", proxy.address))
            .start();
        let answer = Client::http1(gateway.address).await.call(PLAIN).await;
        assert!(text(answer).await.contains("hello"));
        let requests = proxy.seen.requests.borrow();
        let head = requests.first().unwrap();
        assert_eq!(head.uri, "http://llm.example/v1/chat/completions");
        assert_eq!(head.headers.get("host").unwrap(), "llm.example");
        assert_eq!(head.headers.get("proxy-authorization").unwrap(), "Basic dXNlcjp3b3Jk");
    });
}

#[test]
fn a_host_that_is_excepted_is_reached_directly() {
    run(async {
        for excepted in ["127.0.0.1", "llm.example,127.0.0.0/8", "*"] {
            let (provider, proxy) = (Provider::plain().await, Provider::plain().await);
            let gateway = Setup::new("excepted", &format!("http://{}/v1", provider.address))
                .with("ALL_PROXY", format!("http://{}", proxy.address))
                .with("NO_PROXY", excepted)
                .start();
            let answer = Client::http1(gateway.address).await.call(PLAIN).await;
            assert!(text(answer).await.contains("hello"), "{excepted}");
            assert_eq!(proxy.seen.connections.get(), 0, "{excepted}");
            let requests = provider.seen.requests.borrow();
            assert_eq!(requests.first().unwrap().uri, "/v1/chat/completions", "{excepted}");
        }
    });
}
