//! Starting, restarting and stopping a simulator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::{Code, Failure};

use super::catalog::Catalog;
use super::faults::Faults;
use super::folders::Folders;
use super::listener::{Door, bind};
use super::options::SimOptions;
use super::routes;
use super::world::{Plea, World};

/// Why a simulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The port can't be opened.
    #[error("can't listen on {addr}: {source}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The data folder can't be used.
    #[error("can't use the data folder: {0}")]
    Data(io::Error),
    /// The system gives no thread for the worker.
    #[error("can't start the worker thread: {0}")]
    Worker(io::Error),
    /// It was stopped already.
    #[error("the simulator is stopped")]
    Stopped,
}

impl From<SimError> for Failure {
    fn from(error: SimError) -> Self {
        let hint = match &error {
            SimError::Listen { .. } => "choose another port, or 0 for any free one",
            SimError::Data(_) => {
                "choose a folder that can be written to, or none for a temporary one"
            }
            SimError::Worker(_) | SimError::Stopped => "start a new simulator",
        };
        Self::new(Code::TOOL_ERROR, error.to_string()).hint(hint)
    }
}

/// A running simulator. Dropping it stops it at once.
#[derive(Debug)]
pub struct Sim {
    addr: SocketAddr,
    faults: Faults,
    folders: Folders,
    commands: mpsc::UnboundedSender<Command>,
    keeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    Restart(oneshot::Sender<Result<(), SimError>>),
    CutSockets,
    Stop,
}

impl Sim {
    /// Starts a simulator and returns once it listens.
    pub async fn start(options: SimOptions) -> Result<Self, SimError> {
        let listen = options.listen;
        let listening = |source| SimError::Listen {
            addr: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(listening)?;
        let addr = listener.local_addr().map_err(listening)?;
        let folders = Folders::open(options.data.as_deref()).map_err(SimError::Data)?;
        let faults = options.faults.clone();
        let (pleas_tx, pleas) = mpsc::unbounded_channel();
        let keeper = Keeper {
            catalog: Arc::new(Catalog::new(&options)),
            options: Arc::new(options),
            folders: folders.clone(),
            addr,
            pleas: pleas_tx,
        };
        let life = keeper.live(listener)?;
        let (commands, commanded) = mpsc::unbounded_channel();
        let keeper = tokio::spawn(keeper.keep(life, commanded, pleas));
        Ok(Self {
            addr,
            faults,
            folders,
            commands,
            keeper: Some(keeper),
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What goes wrong; changes hold at once.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Its `input`, `output` and `temp`.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Cuts every WebSocket without a closing frame, as a failing network does.
    pub fn drop_sockets(&self) {
        // A keeper that has ended has no sockets either.
        let _ = self.commands.send(Command::CutSockets);
    }

    /// Restarts the server: queue, history and the running prompt are forgotten, the temp folder
    /// is emptied, every connection ends, and the port stays the same. Returns once it listens.
    pub async fn restart(&self) -> Result<(), SimError> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(Command::Restart(done))
            .map_err(|_| SimError::Stopped)?;
        answer.await.map_err(|_| SimError::Stopped)?
    }

    /// Stops it and waits until the port is free.
    pub async fn shutdown(mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(keeper) = self.keeper.take() {
            // The keeper neither panics nor is it aborted.
            let _ = keeper.await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
    }
}

/// Keeps a server alive across its restarts.
struct Keeper {
    options: Arc<SimOptions>,
    catalog: Arc<Catalog>,
    folders: Folders,
    addr: SocketAddr,
    pleas: mpsc::UnboundedSender<Plea>,
}

/// A server between two restarts.
struct Life {
    world: Arc<World>,
    end: CancellationToken,
    server: JoinHandle<()>,
    worker: Option<thread::JoinHandle<()>>,
}

impl Keeper {
    async fn keep(
        self,
        mut life: Life,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut pleas: mpsc::UnboundedReceiver<Plea>,
    ) {
        loop {
            tokio::select! {
                Some(Plea::Restart) = pleas.recv() => match self.restart(life).await {
                    Ok(next) => life = next,
                    Err(error) => {
                        tracing::error!(%error, "the simulator could not restart");
                        return;
                    }
                },
                command = commands.recv() => match command {
                    Some(Command::CutSockets) => life.world.hub.cut_all(),
                    Some(Command::Restart(done)) => match self.restart(life).await {
                        Ok(next) => {
                            life = next;
                            let _ = done.send(Ok(()));
                        }
                        Err(error) => {
                            let _ = done.send(Err(error));
                            return;
                        }
                    },
                    Some(Command::Stop) | None => {
                        life.end().await;
                        return;
                    }
                },
            }
        }
    }

    fn live(&self, listener: TcpListener) -> Result<Life, SimError> {
        let (options, catalog) = (self.options.clone(), self.catalog.clone());
        self.folders.wipe_temp().map_err(SimError::Data)?;
        let world = Arc::new(World::new(
            options,
            catalog,
            self.folders.clone(),
            self.pleas.clone(),
        ));
        let worker = World::start_worker(world.clone()).map_err(SimError::Worker)?;
        let end = CancellationToken::new();
        let refusing = self.options.faults.refusing();
        let door = Door::new(listener, self.addr, refusing, end.clone());
        let router = routes::router(world.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(door, router).await {
                tracing::error!(%error, "the simulator's server failed");
            }
        });
        Ok(Life {
            world,
            end,
            server,
            worker: Some(worker),
        })
    }

    async fn restart(&self, life: Life) -> Result<Life, SimError> {
        life.end().await;
        let listening = |source| SimError::Listen {
            addr: self.addr,
            source,
        };
        let listener = bind(self.addr).await.map_err(listening)?;
        self.live(listener)
    }
}

impl Life {
    async fn end(mut self) {
        self.close();
        // The port is free once the task is gone; that it was aborted is no news.
        let _ = (&mut self.server).await;
        if let Some(worker) = self.worker.take() {
            let joined = tokio::task::spawn_blocking(move || worker.join());
            // A runtime that is shut down does not wait for it, which is no news either.
            if matches!(joined.await, Ok(Err(_))) {
                tracing::error!("the simulator's worker panicked");
            }
        }
    }

    fn close(&self) {
        self.world.close();
        self.end.cancel();
        self.server.abort();
    }
}

impl Drop for Life {
    /// Waits for the worker, which stops at its next step, so that no folder outlives the program.
    fn drop(&mut self) {
        self.close();
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the simulator's worker panicked");
        }
    }
}
