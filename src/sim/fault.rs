//! Things that go wrong on purpose, so that what must survive them can be tried without waiting
//! for a bad day: what there is, and how it is written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One thing that goes wrong, perhaps only so many times.
///
/// Written as text it is `KIND[@NODE][=VALUE][:MESSAGE][*TIMES]`, for instance `oom@KSampler*1`,
/// `fail@5:ValueError: no such thing`, `slow=50ms`, `drop=3`, `drop@KSampler`, `restart@KSampler`,
/// `refuse`, `late-history=1s`, `lose=execution_success`, `prompt-error`, `prompt-hang`. A node is
/// an id or a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How often; `None` for always.
    pub times: Option<u32>,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Every step of a sampler takes this much longer.
    Slow(Duration),
    /// The node raises an exception.
    Fail {
        /// Id or class.
        node: String,
        /// The exception type's name.
        exception: String,
        /// The exception's message.
        message: String,
    },
    /// The graphics card is full when the node runs.
    OutOfMemory {
        /// Id or class.
        node: String,
    },
    /// Each socket is cut, without a closing frame, once it has been sent this many messages.
    DropAfter(u64),
    /// All sockets are cut when the node starts.
    DropAt {
        /// Id or class.
        node: String,
    },
    /// The server restarts, forgetting everything, when the node starts.
    RestartAt {
        /// Id or class.
        node: String,
    },
    /// Nothing listens on the port, and open connections are cut.
    Refuse,
    /// The history entry appears this long after `execution_success`.
    LateHistory(Duration),
    /// Messages of this type, or all, are never sent.
    Lose(Option<String>),
    /// `POST /prompt` takes the prompt but answers 500.
    PromptError,
    /// `POST /prompt` takes the prompt but never answers.
    PromptHang,
}

/// Why a text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is no such kind.
    #[error(
        "unknown fault \"{0}\"; there are slow=TIME, fail@NODE[:[TYPE:]MESSAGE], oom@NODE, drop=N, drop@NODE, \
         restart@NODE, refuse, late-history=TIME, lose[=EVENT], prompt-error and prompt-hang, each with *TIMES if \
         it should end"
    )]
    UnknownKind(String),
    /// The kind happens at a node and none is given.
    #[error("\"{0}\" needs a node, by id or class: {0}@KSampler or {0}@5")]
    NoNode(&'static str),
    /// A value is missing or does not parse.
    #[error("\"{kind}\" needs {wanted}, not \"{found}\": for example {example}")]
    BadValue {
        /// The kind's name.
        kind: &'static str,
        /// What it takes.
        wanted: &'static str,
        /// What was given.
        found: String,
        /// How it would be right.
        example: &'static str,
    },
    /// What follows the `*` is no count.
    #[error("\"*{0}\" is no count: write *1 for a fault that happens once")]
    BadTimes(String),
}

impl From<FaultError> for crate::failure::Failure {
    fn from(error: FaultError) -> Self {
        Self::new(crate::failure::Code::INVALID_PARAMS, error.to_string())
            .hint("for example oom@KSampler*1, slow=50ms or restart@KSampler*1")
    }
}

impl Fault {
    /// A fault that always happens.
    #[must_use]
    pub fn always(kind: FaultKind) -> Self {
        Self { kind, times: None }
    }

    /// A fault that happens once.
    #[must_use]
    pub fn once(kind: FaultKind) -> Self {
        Self {
            kind,
            times: Some(1),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (body, times) = match text.rsplit_once('*') {
            Some((body, times)) => {
                let count = times.parse().ok().filter(|&count| count > 0);
                (
                    body,
                    Some(count.ok_or_else(|| FaultError::BadTimes(times.to_owned()))?),
                )
            }
            None => (text, None),
        };
        let end = body.find(['@', '=']).unwrap_or(body.len());
        let (name, rest) = body.split_at(end);
        let node = rest.strip_prefix('@');
        let value = rest.strip_prefix('=').unwrap_or_default();
        let at = |kind| {
            let node = node.filter(|node| !node.is_empty());
            node.map(str::to_owned).ok_or(FaultError::NoNode(kind))
        };
        let kind = match name {
            "slow" => FaultKind::Slow(time("slow", value)?),
            "late-history" => FaultKind::LateHistory(time("late-history", value)?),
            "fail" => fail(&at("fail")?),
            "oom" => FaultKind::OutOfMemory { node: at("oom")? },
            "drop" if node.is_some() => FaultKind::DropAt { node: at("drop")? },
            "drop" => FaultKind::DropAfter(value.parse().map_err(|_| FaultError::BadValue {
                kind: "drop",
                wanted: "a number of messages, or a node",
                found: value.to_owned(),
                example: "drop=3 or drop@KSampler",
            })?),
            "restart" => FaultKind::RestartAt {
                node: at("restart")?,
            },
            "refuse" => FaultKind::Refuse,
            "lose" => FaultKind::Lose((!value.is_empty()).then(|| value.to_owned())),
            "prompt-error" => FaultKind::PromptError,
            "prompt-hang" => FaultKind::PromptHang,
            other => return Err(FaultError::UnknownKind(other.to_owned())),
        };
        Ok(Self { kind, times })
    }
}

fn fail(rest: &str) -> FaultKind {
    let (node, said) = rest.split_once(':').unwrap_or((rest, "failed on purpose"));
    // A first word such as ValueError names the exception's type.
    let (exception, message) = match said.split_once(':') {
        Some((kind, message)) if !kind.contains(' ') => (kind, message.trim_start()),
        _ => ("RuntimeError", said),
    };
    FaultKind::Fail {
        node: node.to_owned(),
        exception: exception.to_owned(),
        message: message.to_owned(),
    }
}

fn time(kind: &'static str, text: &str) -> Result<Duration, FaultError> {
    let number = text.trim_end_matches(char::is_alphabetic);
    let seconds = match &text[number.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => f64::NAN,
    };
    let parsed = number.parse::<f64>().ok().map(|n| n * seconds);
    parsed
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or(FaultError::BadValue {
            kind,
            wanted: "a time in ms, s or m",
            found: text.to_owned(),
            example: if kind == "slow" {
                "slow=50ms"
            } else {
                "late-history=2s"
            },
        })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Slow(time) => write!(f, "slow={}ms", time.as_millis())?,
            FaultKind::Fail {
                node,
                exception,
                message,
            } => write!(f, "fail@{node}:{exception}:{message}")?,
            FaultKind::OutOfMemory { node } => write!(f, "oom@{node}")?,
            FaultKind::DropAfter(count) => write!(f, "drop={count}")?,
            FaultKind::DropAt { node } => write!(f, "drop@{node}")?,
            FaultKind::RestartAt { node } => write!(f, "restart@{node}")?,
            FaultKind::Refuse => f.write_str("refuse")?,
            FaultKind::LateHistory(time) => write!(f, "late-history={}ms", time.as_millis())?,
            FaultKind::Lose(None) => f.write_str("lose")?,
            FaultKind::Lose(Some(event)) => write!(f, "lose={event}")?,
            FaultKind::PromptError => f.write_str("prompt-error")?,
            FaultKind::PromptHang => f.write_str("prompt-hang")?,
        }
        match self.times {
            Some(times) => write!(f, "*{times}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("slow=50ms")]
    #[case("oom@KSampler")]
    #[case("oom@KSampler*1")]
    #[case("fail@5:ValueError:no such thing")]
    #[case("drop=3")]
    #[case("drop@12:34")]
    #[case("restart@KSampler*2")]
    #[case("refuse")]
    #[case("late-history=1500ms")]
    #[case("lose")]
    #[case("lose=execution_success*1")]
    #[case("prompt-error*1")]
    #[case("prompt-hang")]
    fn a_fault_reads_back_what_it_writes(#[case] text: &str) {
        assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
    }

    #[test]
    fn a_failure_has_a_type_and_a_message_even_if_only_the_message_is_given() {
        let fault: Fault = "fail@5:it broke: badly".parse().unwrap();
        let FaultKind::Fail {
            exception, message, ..
        } = fault.kind
        else {
            panic!("{fault:?}")
        };
        assert_eq!(
            (exception.as_str(), message.as_str()),
            ("RuntimeError", "it broke: badly")
        );
    }

    #[rstest]
    #[case("boom", "unknown fault")]
    #[case("oom", "oom@KSampler")]
    #[case("slow=50", "slow=50ms")]
    #[case("slow=-1s", "slow=50ms")]
    #[case("drop=x", "drop=3")]
    #[case("oom@A*0", "*1")]
    fn an_error_shows_how_it_would_be_right(#[case] text: &str, #[case] teaches: &str) {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(teaches), "{error}");
    }
}
