//! The port: connections that can all be cut at once, and a door that can be shut while the server
//! behind it goes on, as when a network fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long to wait before the port is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Binds a port; one that was ours a moment ago may need a few attempts.
pub(super) async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let mut attempts = 0;
    loop {
        match TcpListener::bind(addr).await {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && addr.port() != 0
                    && attempts < 50 =>
            {
                attempts += 1;
                tokio::time::sleep(RETRY).await;
            }
            other => return other,
        }
    }
}

/// Accepts connections unless it is told to refuse them.
pub(super) struct Door {
    addr: SocketAddr,
    listener: Option<TcpListener>,
    refusing: watch::Receiver<bool>,
    life: CancellationToken,
    connections: CancellationToken,
}

impl Door {
    /// Opens a door; all its connections are cut when `life` ends.
    pub(super) fn new(
        listener: TcpListener,
        addr: SocketAddr,
        refusing: watch::Receiver<bool>,
        life: CancellationToken,
    ) -> Self {
        let connections = life.child_token();
        Self {
            addr,
            listener: Some(listener),
            refusing,
            life,
            connections,
        }
    }

    /// The listener, bound again if it was shut.
    async fn listener(&mut self) -> &TcpListener {
        let refuses = *self.refusing.borrow_and_update();
        if refuses {
            self.listener = None;
            self.connections.cancel();
            self.connections = self.life.child_token();
            until(&mut self.refusing, false).await;
        }
        while self.listener.is_none() {
            match bind(self.addr).await {
                Ok(listener) => self.listener = Some(listener),
                Err(error) => {
                    tracing::warn!(%error, addr = %self.addr, "the port can't be opened again yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        #[expect(clippy::expect_used, reason = "the loop above leaves a listener")]
        self.listener.as_ref().expect("a listener is bound")
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let mut refusing = self.refusing.clone();
            let listener = self.listener().await;
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Small messages must not wait for one another.
                        let _ = stream.set_nodelay(true);
                        let cut = Box::pin(self.connections.clone().cancelled_owned());
                        return (Connection { stream, cut }, peer);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(RETRY).await;
                    }
                },
                () = until(&mut refusing, true) => {}
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

/// Waits until refusing starts or ends.
async fn until(refusing: &mut watch::Receiver<bool>, state: bool) {
    // The sender lives as long as the faults do, and they are held by the server.
    drop(refusing.wait_for(|refusing| *refusing == state).await);
}

/// A connection that fails in both directions once it is cut.
pub(super) struct Connection {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
