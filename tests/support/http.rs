//! `mmf serve --http` and a client of it, made by hand so that it sees every header and event.

use std::process::{ExitStatus, Stdio};

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

use super::mcp::{VERSION, initialize};
use super::mmf::{Home, Mmf, PATIENCE};
use super::sim::http;

/// The header by which a client names its session.
pub(crate) const SESSION: &str = "mcp-session-id";

/// A server of its own, killed when this is dropped.
pub(crate) struct HttpServer {
    process: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    /// What it wrote to stderr until it listened.
    said: String,
    pub(crate) url: String,
}

impl HttpServer {
    /// Starts a server in `home` for the ComfyUI at `comfy`, at a free port.
    pub(crate) async fn start(home: &Home, comfy: &str) -> Self {
        Self::of(home.mmf(["serve", "--http", "127.0.0.1:0"]).server(comfy)).await
    }

    /// Starts a server and waits until it listens.
    pub(crate) async fn of(serve: Mmf) -> Self {
        let mut command = serve.into_command();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let url = async {
            while let Some(line) = stderr.next_line().await.unwrap() {
                said += &line;
                said.push('\n');
                if let Some(url) = line.strip_prefix("MCP listens at ") {
                    return Some(url.to_owned());
                }
            }
            None
        };
        let url = timeout(PATIENCE, url).await.expect("it starts");
        let url = url.unwrap_or_else(|| panic!("it does not listen:\n{said}"));
        Self {
            process,
            stderr,
            said,
            url,
        }
    }

    /// The most memory that its process ever took, in MB.
    #[cfg(target_os = "linux")]
    #[allow(dead_code, reason = "the benches share this server")]
    pub(crate) fn peak_memory_mb(&self) -> u64 {
        let pid = self.process.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap() / 1024
    }

    /// A request as clients send it, to be changed before it goes.
    pub(crate) fn post(&self, message: &Value) -> RequestBuilder {
        http()
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(message.to_string())
    }

    /// Greets the server, which opens a session.
    pub(crate) async fn session(&self) -> Session<'_> {
        let message = request(&json!(0), "initialize", &initialize());
        let answer = self.post(&message).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let id = answer.headers()[SESSION].to_str().unwrap().to_owned();
        let info = Events::of(answer).answer(&json!(0)).await;
        assert_eq!(info["result"]["protocolVersion"], VERSION, "{info}");
        let session = Session { server: self, id };
        session
            .notify("notifications/initialized", &json!({}))
            .await;
        session
    }

    /// Asks the server to end, and gives how it did and all that it wrote to stderr.
    pub(crate) async fn terminate(mut self) -> (ExitStatus, String) {
        let pid = self.process.id().unwrap().to_string();
        let kill = tokio::process::Command::new("kill").arg(pid).status();
        assert!(kill.await.unwrap().success());
        let ended = async {
            while let Some(line) = self.stderr.next_line().await.unwrap() {
                self.said += &line;
                self.said.push('\n');
            }
            self.process.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, ended).await.expect("it ends");
        (status, self.said)
    }
}

/// A session of the earlier lifecycle.
pub(crate) struct Session<'a> {
    server: &'a HttpServer,
    pub(crate) id: String,
}

impl Session<'_> {
    fn post(&self, message: &Value) -> RequestBuilder {
        let post = self.server.post(message).header(SESSION, &self.id);
        post.header("mcp-protocol-version", VERSION)
    }

    pub(crate) async fn notify(&self, method: &str, params: &Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let answer = self.post(&message).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }

    /// Begins a call, with its id as the progress token too, and gives the stream of its answer.
    pub(crate) async fn begin(&self, id: &Value, tool: &str, arguments: &Value) -> Events {
        let params =
            json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
        let message = request(id, "tools/call", &params);
        let answer = self.post(&message).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Events::of(answer)
    }

    /// What a tool answers, whether well or not.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Value {
        let id = json!(format!("{tool} {arguments}"));
        let mut events = self.begin(&id, tool, arguments).await;
        events.answer(&id).await["result"]["structuredContent"].take()
    }

    /// The stream that goes on behind an event.
    pub(crate) async fn resume(&self, last_event: &str) -> Events {
        let get = http()
            .get(&self.server.url)
            .header("accept", "text/event-stream")
            .header(SESSION, &self.id)
            .header("mcp-protocol-version", VERSION)
            .header("last-event-id", last_event);
        let answer = get.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Events::of(answer)
    }

    /// Builds the sd3 template and queues it; gives the id of the prompt.
    pub(crate) async fn queue(&self, params: &Value) -> String {
        let arguments = json!({ "name": "sd3_txt2img", "params": params });
        let built = self.call("create_workflow_from_template", &arguments).await;
        let arguments = json!({ "workflow": built["workflow"] });
        let queued = self.call("execute_workflow", &arguments).await;
        queued["prompt_id"].as_str().unwrap().to_owned()
    }
}

/// The stream of events that answers a request. Closed when dropped.
pub(crate) struct Events {
    response: Response,
    unread: String,
    /// The id of the last event.
    pub(crate) last: String,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        Self {
            response,
            unread: String::new(),
            last: String::new(),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next message; nothing at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.unread = rest;
                let field = |name: &str| {
                    let lines = event.lines().filter_map(|line| line.strip_prefix(name));
                    lines.map(str::trim_start).collect::<String>()
                };
                let id = field("id:");
                if !id.is_empty() {
                    self.last = id;
                }
                let data = field("data:");
                if !data.is_empty() {
                    return Some(serde_json::from_str(&data).unwrap());
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("something in time").unwrap()?;
            self.unread += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The first message that fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await.expect("the stream goes on");
            if fits(&message) {
                return message;
            }
        }
    }

    /// The answer to the request `id`.
    pub(crate) async fn answer(&mut self, id: &Value) -> Value {
        self.until(|message| message["id"] == *id && message.get("method").is_none())
            .await
    }
}

pub(crate) fn request(id: &Value, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
