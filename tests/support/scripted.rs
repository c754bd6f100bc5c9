//! A server that does what a test tells it, one fault at a time, below a base path and behind a
//! header that everything must carry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{SinkExt, StreamExt};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use massmediafactory::clock::Clock;
use massmediafactory::comfy::{Comfy, Server, Timeouts};
use massmediafactory::ids::Ids;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

/// What the server does with a submission.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum OnPrompt {
    /// Queues it and says so.
    #[default]
    Accept,
    /// Queues it before all others and says so.
    AcceptInFront,
    /// Queues it under an id of its own, as servers did before clients could choose.
    Rename,
    /// Queues it and never answers.
    AcceptSilently,
    /// Never answers and queues nothing.
    Ignore,
    /// Queues it and then fails.
    AcceptAndFail,
    /// Fails.
    Fail,
    /// Says that a class is unknown.
    Reject,
}

/// What happens on the socket.
#[derive(Clone, Debug)]
enum Wire {
    Text(String),
    Binary(Vec<u8>),
    Drop,
}

/// What the server knows, and how it behaves.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) running: Vec<Value>,
    pub(crate) pending: Vec<Value>,
    pub(crate) history: Map<String, Value>,
    pub(crate) version: &'static str,
    pub(crate) on_prompt: OnPrompt,
    /// What jobs have reported so far, by job and node.
    pub(crate) reported: HashMap<String, Map<String, Value>>,
    /// What `GET /view` gives, by name.
    pub(crate) files: HashMap<String, Vec<u8>>,
    /// So many reads of the history find nothing.
    pub(crate) history_misses: usize,
    /// There is no socket, as behind some proxies.
    pub(crate) no_socket: bool,
    /// Whoever asks for a socket gets no answer.
    pub(crate) hung_socket: bool,
    /// Sockets are opened and then not even read.
    pub(crate) dead_sockets: bool,
    /// The answer to `GET /object_info`.
    pub(crate) object_info: Result<Value, StatusCode>,
    /// The answer to `GET /node_replacements`, for servers that know it.
    pub(crate) node_replacements: Option<Value>,
    /// By how much its clock is ahead of ours.
    pub(crate) clock_ahead: SignedDuration,
    /// The answer to everything, in place of all that.
    pub(crate) instead: Option<(StatusCode, &'static str, &'static str)>,
    /// `METHOD /path` with the body, in their order.
    pub(crate) requests: Vec<(String, Value)>,
}

pub(crate) struct Scripted {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    world: Mutex<World>,
    wire: broadcast::Sender<Wire>,
    /// How many sockets said hello so far.
    hellos: watch::Sender<usize>,
    /// How much was asked so far.
    asked: watch::Sender<usize>,
    /// How many sockets are open.
    open: watch::Sender<usize>,
    /// Requests are heard and not answered for now.
    busy: watch::Sender<bool>,
}

impl Scripted {
    pub(crate) async fn start() -> Self {
        let world = World {
            running: vec![],
            pending: vec![],
            history: Map::new(),
            reported: HashMap::new(),
            files: HashMap::new(),
            version: "0.33.0",
            on_prompt: OnPrompt::Accept,
            history_misses: 0,
            no_socket: false,
            hung_socket: false,
            dead_sockets: false,
            object_info: Ok(json!({})),
            node_replacements: None,
            clock_ahead: SignedDuration::ZERO,
            instead: None,
            requests: vec![],
        };
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            wire: broadcast::Sender::new(64),
            hellos: watch::Sender::new(0),
            asked: watch::Sender::new(0),
            open: watch::Sender::new(0),
            busy: watch::Sender::new(false),
        });
        let routes = Router::new()
            .route("/ws", get(socket))
            .route("/prompt", get(remaining).post(prompt))
            .route("/queue", get(queue).post(queue_delete))
            .route("/history", get(all_history))
            .route("/history/{id}", get(history))
            .route("/view", get(view))
            .route("/system_stats", get(system_stats))
            .route("/object_info", get(object_info))
            .route("/object_info/{class}", get(class_info))
            .route("/node_replacements", get(node_replacements))
            .route("/interrupt", post(async || ()))
            .route("/api/jobs/{id}/cancel", post(cancel))
            .layer(middleware::from_fn_with_state(
                Arc::clone(&shared),
                gatekeeper,
            ));
        let app = Router::new()
            .nest("/base/path", routes)
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base/path", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            shared,
            serving,
        }
    }

    pub(crate) fn server(&self) -> Server {
        Server::parse(&self.url)
            .unwrap()
            .header("X-Key", "open sesame")
            .unwrap()
            .with_timeouts(Timeouts {
                answer: Duration::from_millis(400),
                recovery: Duration::from_millis(600),
                outage: Duration::from_millis(300),
                ..Timeouts::default()
            })
    }

    pub(crate) fn comfy(&self) -> Comfy {
        Comfy::new(self.server(), Ids::default(), Clock::default())
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap()
    }

    /// How often something was asked.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.world()
            .requests
            .iter()
            .filter(|(asked, _)| asked == request)
            .count()
    }

    /// Waits until something has been asked so often.
    pub(crate) async fn asked(&self, request: &str, times: usize) {
        let mut asked = self.shared.asked.subscribe();
        asked
            .wait_for(|_| self.count(request) >= times)
            .await
            .unwrap();
    }

    /// Answers no requests until it is told otherwise, as a server that collects garbage. What is
    /// said on the sockets still goes out.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.shared.busy.send_replace(busy);
    }

    /// Sends a message to all sockets.
    pub(crate) fn say(&self, event: &str, data: &Value) {
        let text = json!({ "type": event, "data": data }).to_string();
        let _ = self.shared.wire.send(Wire::Text(text));
    }

    pub(crate) fn say_binary(&self, frame: Vec<u8>) {
        let _ = self.shared.wire.send(Wire::Binary(frame));
    }

    /// Breaks all sockets without a goodbye.
    pub(crate) fn drop_sockets(&self) {
        let _ = self.shared.wire.send(Wire::Drop);
    }

    /// Waits until so many sockets have said hello in all.
    pub(crate) async fn hellos(&self, count: usize) {
        let mut hellos = self.shared.hellos.subscribe();
        hellos.wait_for(|hellos| *hellos >= count).await.unwrap();
    }

    /// Waits until no socket is open.
    pub(crate) async fn no_sockets(&self) {
        let mut open = self.shared.open.subscribe();
        open.wait_for(|open| *open == 0).await.unwrap();
    }

    /// Begins the job that waits.
    pub(crate) fn run_next(&self) {
        let mut world = self.world();
        let item = world.pending.remove(0);
        world.running.push(item);
    }

    /// Lets a node of a job report something.
    pub(crate) fn report(&self, prompt_id: &str, node: &str, output: &Value) {
        let mut world = self.world();
        let reported = world.reported.entry(prompt_id.to_owned()).or_default();
        reported.insert(node.to_owned(), output.clone());
        drop(world);
        self.say(
            "executed",
            &json!({ "prompt_id": prompt_id, "node": node, "output": output }),
        );
    }

    /// Has a file to show.
    pub(crate) fn put_file(&self, name: &str, bytes: &[u8]) {
        let mut world = self.world();
        world.files.insert(name.to_owned(), bytes.to_owned());
    }

    pub(crate) fn remove_file(&self, name: &str) {
        self.world().files.remove(name);
    }

    /// Moves a job from the queue to the history, without a word.
    pub(crate) fn end_silently(&self, prompt_id: &str) {
        let mut world = self.world();
        world.running.retain(|item| item[1] != prompt_id);
        world.pending.retain(|item| item[1] != prompt_id);
        let mut outputs = world.reported.remove(prompt_id).unwrap_or_default();
        outputs.insert("9".to_owned(), json!({ "text": [prompt_id] }));
        let entry = json!({
            "prompt": [1, prompt_id, {}, {}, []],
            "outputs": outputs,
            "status": { "status_str": "success", "completed": true,
                        "messages": [["execution_success", { "timestamp": 1 }]] },
        });
        world.history.insert(prompt_id.to_owned(), entry);
    }

    /// The same, as the socket tells it.
    pub(crate) fn end(&self, prompt_id: &str) {
        self.report(prompt_id, "9", &json!({ "text": [prompt_id] }));
        self.say(
            "execution_success",
            &json!({ "prompt_id": prompt_id, "timestamp": 1 }),
        );
        self.end_silently(prompt_id);
        self.say(
            "executing",
            &json!({ "node": null, "prompt_id": prompt_id }),
        );
    }

    /// No longer listens, and breaks all connections.
    pub(crate) async fn vanish(&mut self) {
        self.drop_sockets();
        self.serving.abort();
        let _ = (&mut self.serving).await;
        self.world().instead = Some((StatusCode::BAD_GATEWAY, "text/plain", "gone"));
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Here = State<Arc<Shared>>;

async fn gatekeeper(
    State(shared): Here,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    if headers.get("x-key").is_none_or(|key| key != "open sesame") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert!(
        !headers.contains_key("origin"),
        "only web pages have an origin"
    );
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let asked = format!("{} {}", parts.method, parts.uri.path());
    let instead = {
        let mut world = shared.world.lock().unwrap();
        world
            .requests
            .push((asked, serde_json::from_slice(&body).unwrap_or_default()));
        world.instead
    };
    shared.asked.send_modify(|asked| *asked += 1);
    let mut busy = shared.busy.subscribe();
    if busy.wait_for(|busy| !busy).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some((status, kind, text)) = instead {
        let header = if status.is_redirection() {
            "location"
        } else {
            "content-type"
        };
        return (status, [(header, kind)], text).into_response();
    }
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let now = Timestamp::now() + shared.world.lock().unwrap().clock_ahead;
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    let date = date.unwrap().parse().unwrap();
    response.headers_mut().insert("date", date);
    response
}

async fn all_history(State(shared): Here) -> Response {
    axum::Json(shared.world.lock().unwrap().history.clone()).into_response()
}

async fn socket(State(shared): Here, upgrade: WebSocketUpgrade) -> Response {
    let (no_socket, hung, dead) = {
        let world = shared.world.lock().unwrap();
        (world.no_socket, world.hung_socket, world.dead_sockets)
    };
    if hung {
        return std::future::pending().await;
    }
    if no_socket {
        return StatusCode::NOT_FOUND.into_response();
    }
    upgrade.on_upgrade(async move |socket| {
        shared.open.send_modify(|open| *open += 1);
        converse(&shared, socket, dead).await;
        shared.open.send_modify(|open| *open -= 1);
    })
}

async fn converse(shared: &Shared, socket: WebSocket, dead: bool) {
    let mut wire = shared.wire.subscribe();
    let (mut sink, mut stream) = socket.split();
    let hello = stream.next().await;
    let Some(Ok(Message::Text(hello))) = hello else {
        return;
    };
    let hello: Value = serde_json::from_str(&hello).unwrap();
    assert_eq!(hello["data"]["supports_preview_metadata"], true);
    shared.hellos.send_modify(|hellos| *hellos += 1);
    if dead {
        return std::future::pending().await;
    }
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(_)) => {}
                _ => return,
            },
            wire = wire.recv() => {
                let message = match wire {
                    Ok(Wire::Text(text)) => Message::Text(text.into()),
                    Ok(Wire::Binary(bytes)) => Message::Binary(bytes.into()),
                    Ok(Wire::Drop) | Err(_) => return,
                };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn remaining(State(shared): Here) -> Response {
    let world = shared.world.lock().unwrap();
    let remaining = world.running.len() + world.pending.len();
    axum::Json(json!({ "exec_info": { "queue_remaining": remaining } })).into_response()
}

async fn prompt(State(shared): Here, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let (behaviour, answer) = {
        let mut world = shared.world.lock().unwrap();
        let number = i64::try_from(world.requests.len()).unwrap();
        let number = match world.on_prompt {
            OnPrompt::AcceptInFront => -number,
            _ => number,
        };
        let prompt_id = match world.on_prompt {
            OnPrompt::Rename => json!("renamed"),
            _ => body["prompt_id"].clone(),
        };
        let item =
            json!([number, prompt_id, body["prompt"], { "client_id": body["client_id"] }, []]);
        if !matches!(
            world.on_prompt,
            OnPrompt::Ignore | OnPrompt::Fail | OnPrompt::Reject
        ) {
            world.pending.push(item);
        }
        (
            world.on_prompt,
            json!({ "prompt_id": prompt_id, "number": number, "node_errors": {} }),
        )
    };
    match behaviour {
        OnPrompt::Accept | OnPrompt::AcceptInFront | OnPrompt::Rename => {
            axum::Json(answer).into_response()
        }
        OnPrompt::AcceptSilently | OnPrompt::Ignore => std::future::pending().await,
        OnPrompt::AcceptAndFail | OnPrompt::Fail => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "500 Internal Server Error\n\nServer got itself in trouble",
        )
            .into_response(),
        OnPrompt::Reject => {
            let error = json!({ "type": "missing_node_type", "message": "Node 'X' not found.", "details": "" });
            let body = axum::Json(json!({ "error": error, "node_errors": {} }));
            (StatusCode::BAD_REQUEST, body).into_response()
        }
    }
}

async fn queue(State(shared): Here) -> Response {
    let world = shared.world.lock().unwrap();
    let body = json!({ "queue_running": world.running, "queue_pending": world.pending });
    axum::Json(body).into_response()
}

async fn queue_delete(State(shared): Here, body: Bytes) {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let delete = body["delete"].as_array().unwrap();
    shared
        .world
        .lock()
        .unwrap()
        .pending
        .retain(|item| !delete.contains(&item[1]));
}

async fn history(State(shared): Here, Path(id): Path<String>) -> Response {
    let mut world = shared.world.lock().unwrap();
    let mut found = Map::new();
    if let Some(entry) = world.history.get(&id).cloned() {
        if world.history_misses == 0 {
            found.insert(id, entry);
        } else {
            world.history_misses -= 1;
        }
    }
    axum::Json(found).into_response()
}

async fn view(State(shared): Here, Query(query): Query<HashMap<String, String>>) -> Response {
    let world = shared.world.lock().unwrap();
    match world.files.get(&query["filename"]) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn system_stats(State(shared): Here) -> Response {
    let version = shared.world.lock().unwrap().version;
    axum::Json(json!({ "system": { "comfyui_version": version }, "devices": [] })).into_response()
}

async fn object_info(State(shared): Here) -> Response {
    match shared.world.lock().unwrap().object_info.clone() {
        Ok(info) => axum::Json(info).into_response(),
        Err(status) => status.into_response(),
    }
}

async fn node_replacements(State(shared): Here) -> Response {
    match shared.world.lock().unwrap().node_replacements.clone() {
        Some(replacements) => axum::Json(replacements).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An unknown class is no error.
async fn class_info(State(shared): Here, Path(class): Path<String>) -> Response {
    match shared.world.lock().unwrap().object_info.clone() {
        Ok(mut info) => {
            let mut found = Map::new();
            if let Some(entry) = info.as_object_mut().and_then(|info| info.remove(&class)) {
                found.insert(class, entry);
            }
            axum::Json(found).into_response()
        }
        Err(status) => status.into_response(),
    }
}

/// Known since 0.26.
async fn cancel(State(shared): Here, Path(id): Path<String>) -> Response {
    let mut world = shared.world.lock().unwrap();
    if world.version != "0.33.0" {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let before = world.pending.len() + world.running.len();
    world.pending.retain(|item| item[1] != *id);
    world.running.retain(|item| item[1] != *id);
    let after = world.pending.len() + world.running.len();
    axum::Json(json!({ "cancelled": after < before })).into_response()
}
