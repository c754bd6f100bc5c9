//! What a run has done so far.
//!
//! A run whose process died is gone through again from the beginning. Each of its calls with an
//! effect has a number; what came of those that were done stands in the journal and is given again
//! instead of doing them a second time. A job's id is written before the job is submitted, so that
//! it is found on the server, or known to be lost.
//!
//! ```text
//! runs/<run_id>.journal   a line for each call that was done, and for each job
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Run, RunError};
use crate::store::{StoreError, files};

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// The run, to be written down before the first line of its journal is.
    run: Run,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    done: HashMap<String, Done>,
    jobs: HashMap<String, Intent>,
    places: HashMap<String, String>,
    arrived: HashSet<String>,
}

/// A call that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Its number: `3`, or `3.1.2` within something that goes on beside others.
    pub call: String,
    /// The function.
    pub of: String,
    /// What it was given.
    pub given: Given,
    /// What it gave or threw.
    #[serde(flatten)]
    pub end: CallEnd,
}

/// What a call was given, as far as it takes to know it again and to tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// BLAKE3 of the arguments as JSON, names in the order of the alphabet.
    digest: String,
    /// How that JSON begins.
    pub brief: String,
}

impl Given {
    /// Of so many letters is a brief.
    const BRIEF: usize = 200;

    /// What is to be remembered of some arguments.
    #[must_use]
    pub fn of(mut arguments: Value) -> Self {
        arguments.sort_all_objects();
        let text = arguments.to_string();
        let mut brief: String = text.chars().take(Self::BRIEF).collect();
        if brief.len() < text.len() {
            brief.push_str(" ...");
        }
        Self {
            digest: blake3::hash(text.as_bytes()).to_hex().to_string(),
            brief,
        }
    }
}

/// What a call gave or threw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallEnd {
    /// A value.
    Gave(Value),
    /// What a script can catch.
    Threw(Value),
}

/// A job that was about to be submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its place in the run: the number of the call, and which of its jobs it is.
    pub job: String,
    /// Under which id.
    pub prompt_id: String,
    /// Which attempt at the same work this is, from 1.
    pub attempt: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Done(Done),
    Intent(Intent),
    Arrived {
        /// The id under which the server took a job in.
        arrived: String,
    },
}

impl Journal {
    /// The journal of a run, with what stands in it already.
    pub(super) fn open(path: PathBuf, run: Run) -> Result<Self, RunError> {
        let state = State::read(&path)?;
        Ok(Self {
            path,
            run,
            state: Mutex::new(state),
        })
    }

    /// Whether a journal can be gone on with; one that is not there yet can.
    pub(super) fn check(path: &Path) -> Result<(), RunError> {
        State::read(path).map(|_| ())
    }

    /// The last attempt at each job of a journal.
    pub(super) fn jobs_in(path: &Path) -> Result<Vec<String>, RunError> {
        Ok(State::read(path)?.prompt_ids())
    }

    /// The run's id.
    #[must_use]
    pub fn run_id(&self) -> String {
        self.run.run_id()
    }

    /// What came of a call, if it was done.
    #[must_use]
    pub fn done(&self, call: &str) -> Option<Done> {
        self.state().done.get(call).cloned()
    }

    /// The last attempt at a job, if there was one.
    #[must_use]
    pub fn job(&self, place: &str) -> Option<Intent> {
        self.state().jobs.get(place).cloned()
    }

    /// The place of a job in the run, if it is one of the run's.
    #[must_use]
    pub fn place_of(&self, prompt_id: &str) -> Option<String> {
        self.state().places.get(prompt_id).cloned()
    }

    /// Every attempt at a job, also those that were never sent.
    #[must_use]
    pub fn attempts_at(&self, place: &str) -> Vec<String> {
        let state = self.state();
        let of_place = state.places.iter().filter(|(_, at)| *at == place);
        of_place.map(|(prompt_id, _)| prompt_id.clone()).collect()
    }

    /// The last attempt at each of the run's jobs.
    #[must_use]
    pub fn prompt_ids(&self) -> Vec<String> {
        self.state().prompt_ids()
    }

    /// Whether the run is written down: it has had an effect, or somebody has its handle.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.run.is_kept()
    }

    /// Whether the run has other jobs than the one at this place.
    #[must_use]
    pub fn has_jobs_beside(&self, place: &str) -> bool {
        self.state().jobs.keys().any(|other| other != place)
    }

    /// Writes down what came of a call.
    pub fn note(&self, done: Done) -> Result<(), RunError> {
        self.write(Line::Done(done))
    }

    /// Writes down that a job is about to be submitted.
    pub fn intend(&self, intent: Intent) -> Result<(), RunError> {
        self.write(Line::Intent(intent))
    }

    /// Writes down that the server has taken a job in. A power cut may lose that: it takes a server
    /// along that runs on the same machine, and another one is asked.
    pub fn arrive(&self, prompt_id: &str) -> Result<(), RunError> {
        self.append(
            Line::Arrived {
                arrived: prompt_id.to_owned(),
            },
            false,
        )
    }

    /// Whether the server is known to have taken a job in.
    #[must_use]
    pub fn has_arrived(&self, prompt_id: &str) -> bool {
        self.state().arrived.contains(prompt_id)
    }

    fn write(&self, line: Line) -> Result<(), RunError> {
        self.append(line, true)
    }

    /// Appends a line; `lasting` is one that a power cut must not lose.
    fn append(&self, line: Line, lasting: bool) -> Result<(), RunError> {
        let mut text = serde_json::to_string(&line).map_err(|error| RunError::Damaged {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        text.push('\n');
        let mut state = self.state();
        if state.file.is_none() {
            self.run.keep_here()?;
            state.file = Some(append_to(&self.path)?);
        }
        if let Some(file) = &mut state.file {
            let written = file
                .write_all(text.as_bytes())
                .and_then(|()| if lasting { file.sync_data() } else { Ok(()) });
            if let Err(error) = written {
                // Half a line may stand there: it is cut off when the file is opened anew.
                state.file = None;
                return Err(StoreError::io("write", &self.path)(error).into());
            }
        }
        state.take(line);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read(path: &Path) -> Result<Self, RunError> {
        let mut state = Self::default();
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(StoreError::io("read", path)(error).into()),
        };
        for (number, line) in whole_lines(&bytes).enumerate() {
            let line = serde_json::from_slice(line).map_err(|error| RunError::Damaged {
                path: path.to_owned(),
                reason: format!("line {} is none of a journal: {error}", number + 1),
            })?;
            state.take(line);
        }
        Ok(state)
    }

    fn prompt_ids(&self) -> Vec<String> {
        let jobs = self.jobs.values();
        jobs.map(|intent| intent.prompt_id.clone()).collect()
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Done(done) => {
                self.done.insert(done.call.clone(), done);
            }
            Line::Intent(intent) => {
                let place = intent.job.clone();
                self.places.insert(intent.prompt_id.clone(), place.clone());
                self.jobs.insert(place, intent);
            }
            Line::Arrived { arrived } => {
                self.arrived.insert(arrived);
            }
        }
    }
}

/// The lines that were written to their end: a process may have died within the last.
fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
}

/// Opens a file to go on behind its last whole line.
fn append_to(path: &Path) -> Result<File, RunError> {
    let opened = File::options().create(true).append(true).open(path);
    let file = opened.map_err(StoreError::io("open", path))?;
    if let Some(folder) = path.parent() {
        // A new file survives a power cut only once its folder is written as well.
        files::sync_dir(folder).map_err(StoreError::io("sync", folder))?;
    }
    let text = fs::read(path).map_err(StoreError::io("read", path))?;
    let end = text.iter().rposition(|byte| *byte == b'\n');
    let end = end.map_or(0, |at| at + 1);
    file.set_len(end as u64)
        .map_err(StoreError::io("write", path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_none() {
        assert_eq!(whole_lines(b"a\nb\nc").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(whole_lines(b"a").count(), 0);
    }

    fn done(call: &str, gave: &str) -> Vec<u8> {
        let line = Line::Done(Done {
            call: call.to_owned(),
            of: "ask".to_owned(),
            given: Given::of(json!([call])),
            end: CallEnd::Gave(gave.into()),
        });
        let mut bytes = serde_json::to_vec(&line).unwrap();
        bytes.push(b'\n');
        bytes
    }

    #[test]
    fn what_stands_before_a_torn_line_is_read_wherever_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (first, second) = (done("1", "ja"), done("2", "ungef\u{e4}hr"));
        for torn in 0..second.len() {
            fs::write(&path, [&first[..], &second[..torn]].concat()).unwrap();
            let state = State::read(&path).unwrap();
            assert_eq!(state.done.len(), 1, "torn at {torn}");
        }
        fs::write(&path, [&first[..], &second].concat()).unwrap();
        assert_eq!(State::read(&path).unwrap().done.len(), 2);
    }

    #[test]
    fn a_journal_that_is_damaged_before_its_last_line_is_none_and_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let lines = [&done("1", "a")[..], b"\0\0\xff{\n", &done("2", "b")].concat();
        fs::write(&path, lines).unwrap();
        let error = Journal::check(&path).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn arguments_are_known_again_in_any_order_of_names_and_told_in_short() {
        let one = Given::of(json!({ "a": 1, "b": { "c": [1.0], "d": u64::MAX } }));
        let same = json!({ "b": { "d": u64::MAX, "c": [1.0] }, "a": 1 });
        assert_eq!(one, Given::of(same));
        let other = json!({ "b": { "d": u64::MAX - 1, "c": [1.0] }, "a": 1 });
        assert_ne!(one, Given::of(other));
        let long = Given::of(json!("\u{e4}".repeat(10_000)));
        assert!(long.brief.chars().count() < 250, "{}", long.brief);
    }

    #[test]
    fn what_is_appended_stands_behind_the_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, "one\ntw").unwrap();
        let mut file = append_to(&path).unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\n");
    }
}
