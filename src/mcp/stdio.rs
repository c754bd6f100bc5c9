//! Stdin and stdout, one message a line.
//!
//! A line that is no message is answered, so that whoever writes a client sees at once what is
//! wrong with it instead of waiting for an answer that never comes.

use std::io;
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::ErrorCode;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

/// The longest line that is read: room for a workflow of any size, and for pictures within it.
const MAX_LINE: u64 = 64 * 1024 * 1024;

type Writer<W> = Arc<Mutex<Option<W>>>;

/// A transport over a pair of streams.
pub(super) struct Stdio<W> {
    messages: mpsc::Receiver<RxJsonRpcMessage<RoleServer>>,
    writer: Writer<W>,
    _reading: AbortOnDropHandle<()>,
}

impl<W: AsyncWrite + Send + Unpin + 'static> Stdio<W> {
    pub(super) fn new(reader: impl AsyncRead + Send + Unpin + 'static, writer: W) -> Self {
        let writer = Arc::new(Mutex::new(Some(writer)));
        // Reading must not be cut off in the middle of a line, as it would be if the service's
        // loop did it, so it has a task of its own.
        let (sender, messages) = mpsc::channel(16);
        let reading = tokio::spawn(read(BufReader::new(reader), sender, writer.clone()));
        Self {
            messages,
            writer,
            _reading: AbortOnDropHandle::new(reading),
        }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Transport<RoleServer> for Stdio<W> {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let writer = self.writer.clone();
        async move { write(&writer, &message).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.messages.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        match self.writer.lock().await.take() {
            Some(mut writer) => writer.shutdown().await,
            None => Ok(()),
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(
    writer: &Writer<W>,
    message: &impl serde::Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut writer = writer.lock().await;
    let writer = writer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    writer.write_all(&line).await?;
    writer.flush().await
}

/// Reads until either side is gone.
async fn read<W: AsyncWrite + Unpin>(
    mut reader: BufReader<impl AsyncRead + Unpin>,
    sender: mpsc::Sender<RxJsonRpcMessage<RoleServer>>,
    writer: Writer<W>,
) {
    let mut line = vec![];
    loop {
        line.clear();
        let message = match (&mut reader)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Err(error) => {
                tracing::warn!(%error, "stdin can't be read");
                return;
            }
            Ok(0) => return,
            Ok(_) if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") => {
                if !skip_line(&mut reader).await {
                    return;
                }
                Err(refusal(
                    ErrorCode::INVALID_REQUEST,
                    &Value::Null,
                    "the line is longer than 64 MiB",
                ))
            }
            Ok(_) => parse(line.trim_ascii()),
        };
        let gone = match message {
            Ok(Some(message)) => sender.send(message).await.is_err(),
            Ok(None) => false,
            Err(refusal) => write(&writer, &refusal).await.is_err(),
        };
        if gone {
            return;
        }
    }
}

/// Passes over the rest of a line; false at the end of everything.
async fn skip_line(reader: &mut BufReader<impl AsyncRead + Unpin>) -> bool {
    loop {
        let Ok(read) = reader.fill_buf().await else {
            return false;
        };
        let (length, end) = match read.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (read.len(), false),
        };
        reader.consume(length);
        if end || length == 0 {
            return end;
        }
    }
}

/// The message in a line, or the answer that says why there is none. An empty line is nothing, and
/// so is a notification that is not known: nobody waits for an answer to one.
fn parse(line: &[u8]) -> Result<Option<RxJsonRpcMessage<RoleServer>>, Value> {
    if line.is_empty() {
        return Ok(None);
    }
    let reason = match serde_json::from_slice(line) {
        Ok(message) => return Ok(Some(message)),
        Err(reason) => reason,
    };
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        refusal(
            ErrorCode::PARSE_ERROR,
            &Value::Null,
            &format!("the line is not JSON: {error}"),
        )
    })?;
    let id = value.get("id");
    let method = value.get("method").filter(|method| method.is_string());
    if id.is_none() && method.is_some() {
        tracing::debug!(%reason, "passed over a notification");
        return Ok(None);
    }
    if method.is_none() && (value.get("result").is_some() || value.get("error").is_some()) {
        tracing::warn!(%reason, "passed over an answer");
        return Ok(None);
    }
    // What has no method is no request: an error with its id might be taken for the answer to one.
    let id = id.filter(|id| method.is_some() && (id.is_string() || id.is_number()));
    let words = if value.is_array() {
        "batches are not supported: send one message a line"
    } else {
        "the line is not a JSON-RPC 2.0 message of MCP"
    };
    Err(refusal(
        ErrorCode::INVALID_REQUEST,
        id.unwrap_or(&Value::Null),
        words,
    ))
}

fn refusal(code: ErrorCode, id: &Value, words: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": words } })
}
