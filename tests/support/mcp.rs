//! An MCP client over stdio, made by hand so that it sees every line as it is sent.

use std::collections::VecDeque;
use std::process::ExitStatus;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::mmf::{Home, Mmf, PATIENCE};

/// The newest version of the protocol that begins with `initialize`.
pub(crate) const VERSION: &str = "2025-11-25";

/// A client of one `mmf serve`, which is killed when this is dropped.
pub(crate) struct McpClient {
    process: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    /// Messages that were read while another was wanted, in order.
    unread: VecDeque<Value>,
    requests: u64,
}

impl McpClient {
    /// Starts a server in `home` for the ComfyUI at `url`, and greets it.
    pub(crate) async fn start(home: &Home, url: &str) -> Self {
        Self::greet(home.mmf(["serve"]).server(url)).await
    }

    /// Starts a server and goes through its greeting.
    pub(crate) async fn greet(serve: Mmf) -> Self {
        let mut client = Self::connect(serve);
        let info = client.request("initialize", initialize()).await;
        assert_eq!(info["result"]["protocolVersion"], VERSION, "{info}");
        client.notify("notifications/initialized", json!({})).await;
        client
    }

    /// Starts a server without a word.
    pub(crate) fn connect(serve: Mmf) -> Self {
        let mut process = serve.spawn();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        let stderr = Some(BufReader::new(process.stderr.take().unwrap()).lines());
        Self {
            process,
            stdin,
            stdout,
            stderr,
            unread: VecDeque::new(),
            requests: 0,
        }
    }

    /// The id of the server's process.
    #[allow(dead_code, reason = "the benches share this client")]
    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Sends a request and returns its id.
    pub(crate) async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.requests += 1;
        let id = self.requests;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        id
    }

    pub(crate) async fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
            .await;
    }

    /// The whole answer to a request, `{jsonrpc, id, result | error}`.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.answer(id).await
    }

    /// The whole answer to the request `id`.
    pub(crate) async fn answer(&mut self, id: u64) -> Value {
        self.until(|message| message["id"] == id && message.get("method").is_none())
            .await
    }

    /// The first message not yet taken that fits, whatever else comes before it.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.unread.iter().position(&fits) {
            return self.unread.remove(index).unwrap();
        }
        loop {
            let message = self.read().await.expect("the server goes on");
            if fits(&message) {
                return message;
            }
            self.unread.push_back(message);
        }
    }

    /// The next notification of this name.
    pub(crate) async fn notification(&mut self, method: &str) -> Value {
        self.until(|message| message["method"] == method).await["params"].take()
    }

    /// The next line of the server's log that contains `words`.
    pub(crate) async fn logged(&mut self, words: &str) -> String {
        let found = async {
            let stderr = self.stderr.as_mut().expect("the log is not given away");
            while let Some(line) = stderr.next_line().await.unwrap() {
                if line.contains(words) {
                    return line;
                }
            }
            panic!("the server ended without a word of {words}")
        };
        timeout(PATIENCE, found).await.expect("it is logged")
    }

    /// The server's log, for those who read it their own way.
    #[allow(dead_code, reason = "the benches share this client")]
    pub(crate) fn take_log(&mut self) -> Lines<BufReader<ChildStderr>> {
        self.stderr.take().expect("the log is not given away")
    }

    /// Everything that came and was not taken yet.
    pub(crate) fn unread(&mut self) -> Vec<Value> {
        self.unread.drain(..).collect()
    }

    /// Begins a call with a progress token, and returns its id, which is the token as well.
    pub(crate) async fn begin(&mut self, tool: &str, arguments: Value) -> u64 {
        let token = self.requests + 1;
        let meta = json!({ "progressToken": token });
        self.send(
            "tools/call",
            json!({ "name": tool, "arguments": arguments, "_meta": meta }),
        )
        .await
    }

    /// What a tool answers, whether well or not: `{content, structuredContent, isError}`.
    pub(crate) async fn call_raw(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self
            .send(
                "tools/call",
                json!({ "name": tool, "arguments": arguments }),
            )
            .await;
        self.answer(id).await["result"].take()
    }

    /// What a tool that succeeds gives.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        structured(self.call_raw(tool, arguments).await, false)
    }

    /// What a tool that fails says.
    pub(crate) async fn call_fails(&mut self, tool: &str, arguments: Value) -> Value {
        structured(self.call_raw(tool, arguments).await, true)
    }

    /// Answers a request of the server.
    #[allow(dead_code, reason = "the benches share this client")]
    pub(crate) async fn respond(&mut self, id: &Value, result: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
            .await;
    }

    /// Tells the server that nobody waits for an answer any more.
    pub(crate) async fn cancel(&mut self, id: u64) {
        self.notify("notifications/cancelled", json!({ "requestId": id }))
            .await;
    }

    /// Builds the sd3 template and queues it; gives the workflow and the id of the prompt.
    pub(crate) async fn queue(&mut self, params: Value) -> (Value, String) {
        let arguments = json!({ "name": "sd3_txt2img", "params": params });
        let built = self.call("create_workflow_from_template", arguments).await;
        let workflow = built["workflow"].clone();
        let queued = self
            .call("execute_workflow", json!({ "workflow": workflow }))
            .await;
        (workflow, queued["prompt_id"].as_str().unwrap().to_owned())
    }

    /// Waits for a job by the tool for it.
    pub(crate) async fn wait(&mut self, prompt_id: &str) -> Value {
        self.call("wait_for_completion", json!({ "prompt_id": prompt_id }))
            .await
    }

    /// How a job stands once it no longer runs: `ComfyUI` takes its time to stop one.
    pub(crate) async fn settled(&mut self, prompt_id: &str) -> Value {
        loop {
            let arguments = json!({ "prompt_id": prompt_id });
            let status = self.call("get_workflow_status", arguments).await;
            if status["status"] != "running" {
                return status;
            }
        }
    }

    /// Kills the server as hard as the system can.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Ends the session as clients do, and gives what the server wrote to stderr. Whatever it
    /// still has to say has to be JSON-RPC too.
    pub(crate) async fn close(self) -> (ExitStatus, String) {
        let Self {
            mut process,
            stdin,
            mut stdout,
            mut stderr,
            ..
        } = self;
        drop(stdin);
        let ended = async {
            while let Some(line) = stdout.next_line().await.unwrap() {
                message(&line);
            }
            let mut log = String::new();
            if let Some(stderr) = &mut stderr {
                while let Some(line) = stderr.next_line().await.unwrap() {
                    log += &line;
                    log.push('\n');
                }
            }
            (process.wait().await.unwrap(), log)
        };
        timeout(PATIENCE, ended)
            .await
            .expect("the server ends when its client goes")
    }

    async fn write(&mut self, message: &Value) {
        self.write_line(&message.to_string()).await;
    }

    /// Writes a line, whatever it is.
    pub(crate) async fn write_line(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    async fn read(&mut self) -> Option<Value> {
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        let line =
            line.unwrap_or_else(|_| panic!("no further message; unread: {:#?}", self.unread));
        line.unwrap().map(|line| message(&line))
    }
}

/// What a client says first.
pub(crate) fn initialize() -> Value {
    json!({
        "protocolVersion": VERSION,
        "capabilities": {},
        "clientInfo": { "name": "tests", "version": "1" },
    })
}

/// The structured part of a tool's answer, which has to say the same as its text.
#[track_caller]
fn structured(mut result: Value, failed: bool) -> Value {
    assert_eq!(
        result["isError"].as_bool().unwrap_or(false),
        failed,
        "{result:#}"
    );
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        result["structuredContent"]
    );
    result["structuredContent"].take()
}

/// A line as the message that it has to be: stdout carries nothing else.
#[track_caller]
fn message(line: &str) -> Value {
    let message: Value = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("a line on stdout is not JSON: {error}\n{line}"));
    let is_notification = message["method"].is_string();
    let is_answer = message.get("id").is_some()
        && message.get("result").is_some() != message.get("error").is_some();
    assert!(
        message["jsonrpc"] == "2.0" && (is_notification || is_answer),
        "not JSON-RPC: {line}"
    );
    message
}
