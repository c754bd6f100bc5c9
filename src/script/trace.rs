//! What a run asked of the world, and how long each call took: every call of a binding that reaches the
//! server, the assets, other scripts or the user, as a tree.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rhai::NativeCallContext;
use serde_json::{Value, json};

use super::host::Context;
use super::spot::{Spot, Standing};
use super::{Generation, Key};

thread_local! {
    /// The calls that go on in this thread, the outermost first.
    static OPEN: RefCell<Vec<usize>> = const { RefCell::new(vec![]) };
    static THREAD: usize = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
}

static NEXT_THREAD: AtomicUsize = AtomicUsize::new(1);

/// The calls of a run, as they happen.
#[derive(Debug)]
pub struct Trace {
    begun: Instant,
    calls: Mutex<Vec<Traced>>,
}

/// One call.
#[derive(Clone, Debug)]
struct Traced {
    name: String,
    /// `pipelines/best_of.rhai:22`; empty for what the program does itself.
    place: String,
    /// The call within which it was made.
    within: Option<usize>,
    thread: usize,
    start: Duration,
    /// Nothing for one that never ended.
    took: Option<Duration>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            calls: Mutex::default(),
        }
    }
}

impl Trace {
    fn lock(&self) -> MutexGuard<'_, Vec<Traced>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: String, place: String, within: Option<usize>) -> usize {
        let mut calls = self.lock();
        calls.push(Traced {
            name,
            place,
            within,
            thread: THREAD.with(|thread| *thread),
            start: self.begun.elapsed(),
            took: None,
        });
        calls.len() - 1
    }

    fn end(&self, call: usize) {
        let now = self.begun.elapsed();
        if let Some(call) = self.lock().get_mut(call) {
            call.took = Some(now.saturating_sub(call.start));
        }
    }

    /// Notes what the program itself does for a run.
    pub async fn timed<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        let call = self.begin(name.to_owned(), String::new(), None);
        let made = work.await;
        self.end(call);
        made
    }

    /// The calls as a tree, one a line, with milliseconds before them.
    #[must_use]
    pub fn tree(&self) -> String {
        let calls = self.lock().clone();
        let mut tree = String::new();
        for (number, _) in calls
            .iter()
            .enumerate()
            .filter(|(_, it)| it.within.is_none())
        {
            branch(&calls, number, 0, &mut tree);
        }
        tree
    }

    /// The calls in the form that Chrome's and Perfetto's trace viewers open; times are microseconds.
    #[must_use]
    pub fn for_chrome(&self) -> Value {
        let now = self.begun.elapsed();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let events: Vec<Value> = self
            .lock()
            .iter()
            .map(|call| {
                let took = call.took.unwrap_or_else(|| now.saturating_sub(call.start));
                json!({
                    "name": call.name,
                    "cat": "script",
                    "ph": "X",
                    "ts": micros(call.start),
                    "dur": micros(took),
                    "pid": 1,
                    "tid": call.thread,
                    "args": { "place": call.place },
                })
            })
            .collect();
        json!({ "displayTimeUnit": "ms", "traceEvents": events })
    }
}

fn branch(calls: &[Traced], number: usize, depth: usize, tree: &mut String) {
    let call = &calls[number];
    let took = call.took.map_or_else(
        || "  unfinished".to_owned(),
        |took| format!("{:9.3} ms", took.as_secs_f64() * 1000.0),
    );
    let indent = "  ".repeat(depth);
    let name = format!("{indent}{}", call.name);
    let line = format!("{took}  {name:36}  {}", call.place);
    let _ = writeln!(tree, "{}", line.trim_end());
    let within = |call: &Traced| call.within == Some(number);
    for (inner, _) in calls.iter().enumerate().filter(|(_, call)| within(call)) {
        branch(calls, inner, depth + 1, tree);
    }
}

/// The context behind a call of a binding, and the note that the call goes on.
pub(super) struct Calling {
    context: Arc<Context>,
    noted: Option<usize>,
    _standing: Standing,
}

impl Calling {
    pub(super) fn new(context: Arc<Context>, call: &NativeCallContext) -> Self {
        let noted = context.caller.trace.as_ref().map(|trace| {
            let (name, place) = described(&context.generation, call);
            let number = trace.begin(name, place, innermost().or(context.within));
            OPEN.with_borrow_mut(|open| open.push(number));
            number
        });
        Self {
            context,
            noted,
            _standing: Standing::at(Spot::of(call)),
        }
    }
}

impl Deref for Calling {
    type Target = Arc<Context>;

    fn deref(&self) -> &Self::Target {
        &self.context
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let (Some(number), Some(trace)) = (self.noted, &self.context.caller.trace) {
            OPEN.with_borrow_mut(|open| open.retain(|open| *open != number));
            trace.end(number);
        }
    }
}

/// The call that goes on in this thread, the innermost of several.
pub(super) fn innermost() -> Option<usize> {
    OPEN.with_borrow(|open| open.last().copied())
}

/// The function that is called, as it is written there, and where.
fn described(generation: &Generation, call: &NativeCallContext) -> (String, String) {
    let name = call.fn_name();
    let position = call.call_position();
    let source = call.call_source().unwrap_or_default();
    let (Some(line), Some(column)) = (position.line(), position.position()) else {
        return (name.to_owned(), source.to_owned());
    };
    let key = Key::from_path(source);
    let text = key.and_then(|key| generation.text(key.kind, &key.name).ok().map(str::to_owned));
    let text = text.unwrap_or_default();
    let before: String = text
        .lines()
        .nth(line - 1)
        .map(|line| line.chars().take(column - 1).collect())
        .unwrap_or_default();
    let place = format!("{source}:{line}");
    match before.strip_suffix("::") {
        Some(before) => {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let start = before.rfind(|c| !is_name(c)).map_or(0, |at| at + 1);
            let start = before.get(start..).unwrap_or_default();
            (format!("{start}::{name}"), place)
        }
        None => (name.to_owned(), place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_stand_below_the_calls_that_made_them() {
        let trace = Trace::default();
        let outer = trace.begin("scripts::run".into(), "a.rhai:1".into(), None);
        let inner = trace.begin("comfy::run".into(), "b.rhai:2".into(), Some(outer));
        trace.end(inner);
        trace.end(outer);
        trace.timed("wait", async {}).await;
        trace.begin("ask".into(), "a.rhai:3".into(), None);

        let names: Vec<String> = trace
            .tree()
            .lines()
            .map(|line| {
                line[14..]
                    .split("  a.")
                    .next()
                    .unwrap_or_default()
                    .trim_end()
                    .to_owned()
            })
            .map(|line| {
                line.split("  b.")
                    .next()
                    .unwrap_or_default()
                    .trim_end()
                    .to_owned()
            })
            .collect();
        assert_eq!(names, ["scripts::run", "  comfy::run", "wait", "ask"]);
        assert!(
            trace
                .tree()
                .lines()
                .last()
                .unwrap()
                .starts_with("  unfinished")
        );

        let events = trace.for_chrome();
        assert_eq!(events["traceEvents"][1]["name"], "comfy::run");
        assert_eq!(events["traceEvents"][1]["ph"], "X");
        assert_eq!(events["traceEvents"].as_array().unwrap().len(), 4);
    }
}
