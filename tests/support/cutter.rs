//! A wire between a client and a server that can be held at a chosen moment, cut and taken away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How a submission begins on the wire.
const SUBMISSION: &[u8] = b"POST /prompt ";

/// Passes connections on to a server until they are cut.
pub(crate) struct Cutter {
    address: SocketAddr,
    state: Arc<State>,
    listening: Option<AbortHandle>,
}

/// What is counted on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Submissions of the client.
    Prompts,
    /// What the server says over `WebSocket`s.
    Messages,
}

/// When the wire is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What is counted.
    pub(crate) counted: Counted,
    /// At which of them, from now on, beginning with 1.
    pub(crate) nth: u64,
    /// Whether that one has arrived.
    pub(crate) arrived: bool,
}

struct State {
    server: String,
    /// All connections, and whether each is a `WebSocket`.
    wires: Mutex<Vec<(bool, AbortHandle)>>,
    trap: Mutex<Option<Moment>>,
    held: watch::Sender<bool>,
    /// Prompts and messages that have passed.
    passed: Mutex<(u64, u64)>,
}

impl Cutter {
    /// A wire to the server at `url` (`http://127.0.0.1:PORT`).
    pub(crate) async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut cutter = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(State {
                server: url.trim_start_matches("http://").to_owned(),
                wires: Mutex::default(),
                trap: Mutex::default(),
                held: watch::Sender::new(false),
                passed: Mutex::default(),
            }),
            listening: None,
        };
        cutter.listen(listener);
        cutter
    }

    /// Where the client finds the wire.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many prompts and messages have passed.
    pub(crate) fn passed(&self) -> (u64, u64) {
        *self.state.passed.lock().unwrap()
    }

    /// Holds all that goes over the wire from a moment on, and waits for that.
    pub(crate) async fn hold_at(&self, moment: Moment) {
        let mut held = self.state.held.subscribe();
        *self.state.trap.lock().unwrap() = Some(moment);
        held.wait_for(|held| *held).await.unwrap();
    }

    /// Lets go on what was held.
    pub(crate) fn release(&self) {
        *self.state.trap.lock().unwrap() = None;
        self.state.held.send_replace(false);
    }

    /// Cuts every `WebSocket` there is now, without a closing frame, and says how many.
    pub(crate) fn cut_sockets(&self) -> usize {
        self.cut(|is_socket| is_socket)
    }

    /// Cuts every connection, and refuses further ones.
    pub(crate) fn take_away(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        self.cut(|_| true);
    }

    /// Takes connections again.
    pub(crate) async fn put_back(&mut self) {
        // The one that listened before is dropped by a task that may not have ended yet.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.listen(listener);
    }

    fn listen(&mut self, listener: TcpListener) {
        let state = self.state.clone();
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, state.clone()));
            }
        });
        self.listening = Some(listening.abort_handle());
    }

    fn cut(&self, fits: impl Fn(bool) -> bool) -> usize {
        let mut wires = self.state.wires.lock().unwrap();
        wires.retain(|(_, wire)| !wire.is_finished());
        let (gone, stays) = std::mem::take(&mut *wires)
            .into_iter()
            .partition::<Vec<_>, _>(|(is_socket, _)| fits(*is_socket));
        *wires = stays;
        for (_, wire) in &gone {
            wire.abort();
        }
        gone.len()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.take_away();
    }
}

impl State {
    /// Takes note of something that has come, and holds it if its moment has come.
    fn count(&self, what: Counted, arrived: bool) {
        let mut trap = self.trap.lock().unwrap();
        if let Some(moment) = trap
            .as_mut()
            .filter(|moment| moment.counted == what && moment.arrived == arrived)
        {
            moment.nth -= 1;
            if moment.nth == 0 {
                *trap = None;
                self.held.send_replace(true);
            }
        }
    }

    async fn pass(&self) {
        let _ = self.held.subscribe().wait_for(|held| !held).await;
    }
}

/// Passes one connection on; one that begins as a `WebSocket` is noted as that.
async fn pass_on(client: TcpStream, state: Arc<State>) {
    let mut beginning = [0; 16];
    let Ok(size) = client.peek(&mut beginning).await else {
        return;
    };
    let is_socket = beginning[..size].starts_with(b"GET /ws");
    let list = state.clone();
    let wire = tokio::spawn(async move {
        let Ok(server) = TcpStream::connect(&state.server).await else {
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let submissions = |piece: &[u8]| {
            let mut windows = piece.windows(SUBMISSION.len());
            windows
                .any(|window| window == SUBMISSION)
                .then_some(Counted::Prompts)
        };
        let messages = |_: &[u8]| is_socket.then_some(Counted::Messages);
        tokio::join!(
            pump(from_client, to_server, &state, submissions),
            pump(from_server, to_client, &state, messages),
        );
    });
    list.wires
        .lock()
        .unwrap()
        .push((is_socket, wire.abort_handle()));
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    what: impl Fn(&[u8]) -> Option<Counted>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..size];
        let counted = what(piece);
        if let Some(counted) = counted {
            state.count(counted, false);
        }
        state.pass().await;
        if to.write_all(piece).await.is_err() {
            break;
        }
        if let Some(counted) = counted {
            let mut passed = state.passed.lock().unwrap();
            match counted {
                Counted::Prompts => passed.0 += 1,
                Counted::Messages => passed.1 += 1,
            }
            drop(passed);
            state.count(counted, true);
        }
    }
    let _ = to.shutdown().await;
}
