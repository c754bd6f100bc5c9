//! A wire between a client and a server that can be cut.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Passes connections on to a server until they are cut.
pub(crate) struct Cutter {
    url: String,
    sockets: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Cutter {
    /// A wire to the server at `url` (`http://127.0.0.1:PORT`).
    pub(crate) async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let server = url.trim_start_matches("http://").to_owned();
        let sockets = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let list = sockets.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server.clone(), list.clone()));
            }
        });
        Self { url: own, sockets }
    }

    /// Where the client finds the wire.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts every `WebSocket` there is now, without a closing frame, and says how many.
    pub(crate) fn cut_sockets(&self) -> usize {
        let sockets = std::mem::take(&mut *self.sockets.lock().unwrap());
        let open = sockets.iter().filter(|socket| !socket.is_finished());
        open.inspect(|socket| socket.abort()).count()
    }
}

/// Passes one connection on; one that begins as a `WebSocket` is noted as that.
async fn pass_on(mut client: TcpStream, server: String, sockets: Arc<Mutex<Vec<AbortHandle>>>) {
    let mut beginning = [0; 16];
    let Ok(size) = client.peek(&mut beginning).await else {
        return;
    };
    let is_socket = String::from_utf8_lossy(&beginning[..size]).starts_with("GET /ws");
    let wire = tokio::spawn(async move {
        let Ok(mut server) = TcpStream::connect(server).await else {
            return;
        };
        let _ = copy_bidirectional(&mut client, &mut server).await;
        let _ = client.shutdown().await;
    });
    if is_socket {
        sockets.lock().unwrap().push(wire.abort_handle());
    }
}
