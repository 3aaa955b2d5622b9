//! A proxy that opens tunnels to one place, whatever it is asked for.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// Heads of requests, in order.
    pub(crate) asked: Rc<RefCell<Vec<String>>>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), asked: Rc::default() };
        let asked = Rc::clone(&proxy.asked);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(tunnel(stream, target, Rc::clone(&asked)));
            }
        });
        proxy
    }
}

async fn tunnel(mut client: TcpStream, target: SocketAddr, asked: Rc<RefCell<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let allowed = head.contains("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n");
    asked.borrow_mut().push(head);
    if !allowed {
        let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        return;
    }
    let mut server = TcpStream::connect(target).await.unwrap();
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
