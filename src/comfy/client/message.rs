//! What a server says on the socket, decoded. Unknown messages are none of our business: custom
//! nodes send their own.

use bytes::{Buf, Bytes};
use serde_json::Value;

use super::http;
use crate::comfy::json::parse_lenient;

/// One message of the server, as far as it concerns jobs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// The queue's length changed; also the first message on every connection.
    Status {
        /// How many jobs wait and run.
        remaining: Option<usize>,
    },
    /// A job began.
    Start { prompt_id: String, record: Record },
    /// These nodes need not run.
    Cached {
        prompt_id: String,
        nodes: Vec<String>,
        record: Record,
    },
    /// How far each node is, as a full snapshot.
    Nodes {
        prompt_id: String,
        nodes: Vec<NodeState>,
    },
    /// A node begins.
    Executing {
        prompt_id: Option<String>,
        node: String,
    },
    /// The job is over and in the history.
    Over { prompt_id: String },
    /// A node's progress bar.
    Progress {
        prompt_id: Option<String>,
        node: Option<String>,
        value: f64,
        max: f64,
    },
    /// A node reported something to show.
    Executed {
        prompt_id: String,
        node: String,
        output: Value,
    },
    /// A branch of the job was blocked; the rest of it goes on.
    Blocked { prompt_id: String },
    /// The job ended, well or not; the history is about to be written.
    Ended { prompt_id: String, record: Record },
    /// A picture of the unfinished result.
    Preview {
        prompt_id: Option<String>,
        node: Option<String>,
        mime: &'static str,
        bytes: Bytes,
    },
    /// A line of text about a node's progress.
    Text { node: String, text: String },
}

/// A message that the history keeps too, in the same words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) event: String,
    pub(super) data: Value,
}

/// One entry of `progress_state`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeState {
    pub(super) id: String,
    pub(super) value: f64,
    pub(super) max: f64,
    pub(super) finished: bool,
}

/// Reads a text message.
pub(super) fn text(body: &str) -> Option<Message> {
    let mut message: Value = parse_lenient(body.as_bytes()).ok()?;
    let mut data = http::take(&mut message, "/data");
    let word = |key: &str| data[key].as_str().map(str::to_owned);
    let prompt_id = word("prompt_id");
    let event = message["type"].as_str()?;
    let record = |data| Record {
        event: event.to_owned(),
        data,
    };
    Some(match event {
        "status" => Message::Status {
            remaining: data["status"]["exec_info"]["queue_remaining"]
                .as_u64()
                .and_then(|count| usize::try_from(count).ok()),
        },
        "execution_start" => Message::Start {
            prompt_id: prompt_id?,
            record: record(data),
        },
        "execution_cached" => {
            let nodes = data["nodes"].as_array().into_iter().flatten();
            let nodes = nodes
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect();
            Message::Cached {
                prompt_id: prompt_id?,
                nodes,
                record: record(data),
            }
        }
        "progress_state" => Message::Nodes {
            prompt_id: prompt_id?,
            nodes: data["nodes"].as_object()?.iter().map(node_state).collect(),
        },
        "executing" => match (word("node"), prompt_id) {
            (Some(node), prompt_id) => Message::Executing { prompt_id, node },
            (None, Some(prompt_id)) => Message::Over { prompt_id },
            (None, None) => return None,
        },
        "progress" => Message::Progress {
            prompt_id,
            node: word("node"),
            value: data["value"].as_f64()?,
            max: data["max"].as_f64()?,
        },
        "executed" => Message::Executed {
            prompt_id: prompt_id?,
            node: word("node")?,
            output: http::take(&mut data, "/output"),
        },
        // A blocked branch reports an error of this type while the rest of the job goes on.
        "execution_error" if data["exception_type"] == "ExecutionBlocked" => Message::Blocked {
            prompt_id: prompt_id?,
        },
        "execution_success" | "execution_error" | "execution_interrupted" => Message::Ended {
            prompt_id: prompt_id?,
            record: record(data),
        },
        _ => return None,
    })
}

fn node_state((id, state): (&String, &Value)) -> NodeState {
    NodeState {
        id: id.clone(),
        value: state["value"].as_f64().unwrap_or(0.0),
        max: state["max"].as_f64().unwrap_or(1.0),
        finished: state["state"] == "finished",
    }
}

/// Reads a binary message; its kind is the big-endian number at its beginning.
pub(super) fn binary(mut body: Bytes) -> Option<Message> {
    match body.try_get_u32().ok()? {
        1 => {
            let mime = if body.try_get_u32().ok()? == 2 {
                "image/png"
            } else {
                "image/jpeg"
            };
            Some(Message::Preview {
                prompt_id: None,
                node: None,
                mime,
                bytes: body,
            })
        }
        3 => {
            let node = String::from_utf8(counted(&mut body)?.to_vec()).ok()?;
            let text = String::from_utf8_lossy(&body).into_owned();
            Some(Message::Text { node, text })
        }
        4 => {
            let about: Value = parse_lenient(&counted(&mut body)?).ok()?;
            let mime = match about["image_type"].as_str() {
                Some("image/png") => "image/png",
                Some("image/webp") => "image/webp",
                _ => "image/jpeg",
            };
            let word = |key: &str| about[key].as_str().map(str::to_owned);
            Some(Message::Preview {
                prompt_id: word("prompt_id"),
                node: word("node_id"),
                mime,
                bytes: body,
            })
        }
        _ => None,
    }
}

fn counted(body: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(body.try_get_u32().ok()?).ok()?;
    (length <= body.len()).then(|| body.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_branch_is_not_the_end_of_the_job() {
        let error = |kind: &str| {
            format!(
                r#"{{"type":"execution_error","data":{{"prompt_id":"p","exception_type":"{kind}"}}}}"#
            )
        };
        let prompt_id = "p".to_owned();
        let blocked = text(&error("ExecutionBlocked"));
        assert_eq!(blocked, Some(Message::Blocked { prompt_id }));
        let Some(Message::Ended { record, .. }) = text(&error("ValueError")) else {
            panic!("not an end");
        };
        assert_eq!(record.event, "execution_error");
        assert_eq!(record.data["exception_type"], "ValueError");
    }

    #[test]
    fn the_end_of_a_job_is_an_executing_message_without_a_node() {
        let over = text(r#"{"type":"executing","data":{"node":null,"prompt_id":"p"}}"#);
        assert_eq!(
            over,
            Some(Message::Over {
                prompt_id: "p".to_owned()
            })
        );
    }

    #[test]
    fn previews_come_with_and_without_their_job() {
        let bare = binary(Bytes::from_static(b"\0\0\0\x01\0\0\0\x02png")).unwrap();
        let Message::Preview {
            prompt_id: None,
            mime: "image/png",
            bytes,
            ..
        } = bare
        else {
            panic!("{bare:?}");
        };
        assert_eq!(&bytes[..], b"png");

        let about = br#"{"prompt_id":"p","node_id":"3","image_type":"image/jpeg"}"#;
        let mut frame = vec![0, 0, 0, 4, 0, 0, 0, u8::try_from(about.len()).unwrap()];
        frame.extend_from_slice(about);
        frame.extend_from_slice(b"jpeg");
        let Some(Message::Preview {
            prompt_id,
            node,
            bytes,
            ..
        }) = binary(frame.into())
        else {
            panic!("not a preview");
        };
        assert_eq!(
            (prompt_id.as_deref(), node.as_deref()),
            (Some("p"), Some("3"))
        );
        assert_eq!(&bytes[..], b"jpeg");
    }

    #[test]
    fn broken_frames_are_passed_over() {
        for frame in [
            &b""[..],
            b"\0\0",
            b"\0\0\0\x04\0\0\xff\xff{}",
            b"\0\0\0\x07x",
            b"\0\0\0\x03\xff\xff\xff\xff",
        ] {
            assert_eq!(binary(Bytes::copy_from_slice(frame)), None);
        }
        for body in [
            "",
            "[]",
            "{}",
            r#"{"type":"progress","data":null}"#,
            r#"{"type":"x","data":{}}"#,
        ] {
            assert_eq!(text(body), None);
        }
    }
}
