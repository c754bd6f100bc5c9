//! Which of the models for a task to take.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Knowledge, KnowledgeError, Model, Status, Stock};

/// The share of what a model needs that costs little if it is moved in and out.
const SMALL_SHARE: f64 = 0.15;

/// The models for a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation<'k> {
    /// Why.
    pub reason: &'k str,
    /// The models for it, the best first.
    pub models: Vec<&'k Model>,
}

/// How a model fits a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Room {
    /// As a whole.
    Whole,
    /// It is not known what its work needs, but all its files together are smaller than the card.
    Likely,
    /// In parts, one after the other.
    Streamed,
    /// It runs on another machine.
    Elsewhere,
    /// Nobody can tell.
    Unknown,
    /// It doesn't.
    #[serde(rename = "no")]
    TooLarge,
}

impl Room {
    /// The lower, the better.
    fn rank(self, nearly_whole: bool) -> u8 {
        match self {
            Self::Whole | Self::Likely => 0,
            Self::Streamed => u8::from(!nearly_whole),
            Self::Elsewhere | Self::Unknown => 2,
            Self::TooLarge => 3,
        }
    }
}

/// A model that may be taken.
#[derive(Clone, Debug)]
pub struct Candidate<'k> {
    /// The model.
    pub model: &'k Model,
    /// How it fits.
    pub room: Room,
    /// What it needs, if that is known.
    pub needs_gb: Option<f64>,
    /// The same as it would be done, with the sides of the guidance by turns, if it would.
    pub by_turns_gb: Option<f64>,
    /// Weights that would be moved in and out.
    pub moved_gb: f64,
    /// Which of its files are there; none without a server.
    pub stock: Option<Stock>,
    /// The version of `ComfyUI` that it needs, if the server's is older.
    pub too_new: Option<String>,
}

impl Candidate<'_> {
    fn is_installed(&self) -> bool {
        self.stock.as_ref().is_some_and(Stock::is_complete)
    }

    /// The lower, the better: how it fits, and of equals what is current.
    fn rank(&self) -> (u8, bool) {
        let needs = self.needs_gb.unwrap_or_default();
        let nearly_whole = self.moved_gb <= needs * SMALL_SHARE;
        let is_deprecated = self.model.status == Status::Deprecated;
        (self.room.rank(nearly_whole), is_deprecated)
    }

    /// Whether it is known to run, or where nothing is known of the card, whether it may.
    fn runs(&self, card: bool) -> bool {
        let fits = match self.room {
            Room::TooLarge => false,
            Room::Unknown => !card,
            Room::Whole | Room::Likely | Room::Streamed | Room::Elsewhere => true,
        };
        fits && self.too_new.is_none()
    }

    /// What speaks for or against it.
    fn words(&self, card: Option<f64>) -> String {
        let mut said: Vec<String> = vec![];
        if let Some(next) = &self.model.replaced_by {
            said.push(format!("is deprecated, {next} is better"));
        }
        if let Some(version) = &self.too_new {
            said.push(format!("needs ComfyUI {version}"));
        }
        match (&self.stock, self.is_installed()) {
            (Some(_), true) => said.push("is installed".to_owned()),
            (Some(stock), false) if stock.installed.is_empty() => {
                said.push("is not installed".to_owned());
            }
            (Some(stock), false) => {
                said.push(format!("lacks {} of its files", stock.missing.len()));
            }
            (None, _) => {}
        }
        let needs = self.needs_gb.map(|needs| format!(" {needs} GB"));
        let needs = needs.unwrap_or_default();
        if let Some(card) = card {
            said.push(match self.room {
                Room::Whole => match self.by_turns_gb {
                    Some(by_turns) => format!(
                        "fits {card} GB with the sides of the guidance by turns, in {by_turns} GB"
                    ),
                    None => format!("fits {card} GB as a whole"),
                },
                Room::Likely => {
                    let files = self.model.download_gb.unwrap_or_default();
                    format!("should fit {card} GB: all its files together take {files} GB")
                }
                Room::Streamed => format!("runs in {card} GB in parts, slower: it needs{needs}"),
                Room::Elsewhere => "runs elsewhere, for credits".to_owned(),
                Room::Unknown => "how much memory it needs is not known".to_owned(),
                Room::TooLarge => format!("does not fit {card} GB: it needs{needs}"),
            });
        }
        said.join(", ")
    }

    /// As the answer lists it beside the chosen one.
    fn beside(&self, card: Option<f64>) -> Value {
        json!({
            "name": self.model.name,
            "fit": self.room,
            "installed": self.stock.as_ref().map(Stock::is_complete),
            "why": self.words(card),
        })
    }
}

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Its place among the candidates; none if nothing is known to run.
    pub chosen: Option<usize>,
    /// Why, or why not.
    pub reason: String,
    /// The others, with what speaks for or against each.
    pub others: Vec<Value>,
}

impl Choice {
    /// Takes what is installed and runs before what only runs, what fits whole or nearly so before what
    /// does not, what is current before what is not, and else the better model. `card` is the memory in gigabytes, if that is known.
    #[must_use]
    pub fn among(candidates: &[Candidate<'_>], task_reason: &str, card: Option<f64>) -> Self {
        let usable = candidates.iter().enumerate();
        let usable = usable.filter(|(_, candidate)| candidate.runs(card.is_some()));
        let chosen = usable
            .min_by_key(|(place, candidate)| (!candidate.is_installed(), candidate.rank(), *place));
        let chosen = chosen.map(|(place, _)| place);
        let others = candidates.iter().enumerate();
        let others = others.filter(|(place, _)| Some(*place) != chosen);
        Self {
            chosen,
            reason: match chosen.and_then(|place| candidates.get(place)) {
                Some(candidate) => {
                    let words = candidate.words(card);
                    let and = if words.is_empty() { "" } else { "; " };
                    format!("{task_reason}{and}{words}")
                }
                None => why_none(candidates, card),
            },
            others: others
                .map(|(_, candidate)| candidate.beside(card))
                .collect(),
        }
    }
}

fn why_none(candidates: &[Candidate<'_>], card: Option<f64>) -> String {
    let count = candidates.len();
    let smallest = candidates
        .iter()
        .filter_map(|candidate| Some((candidate.needs_gb?, candidate.model)))
        .min_by(|one, other| one.0.total_cmp(&other.0));
    let card = card.map_or_else(|| "this server".to_owned(), |card| format!("{card} GB"));
    let smallest = smallest.map_or_else(String::new, |(needs, model)| {
        format!(
            "; the smallest of which it is known, {}, needs {needs} GB",
            model.name
        )
    });
    format!("none of the {count} models for it is known to run on {card}{smallest}")
}

impl Knowledge {
    /// The models for a task.
    pub fn recommend(&self, task: &str) -> Result<Recommendation<'_>, KnowledgeError> {
        let wanted = task.trim().to_lowercase().replace([' ', '-'], "_");
        let found = self.tasks.iter().find(|task| task.name == wanted);
        let found = found.ok_or_else(|| KnowledgeError::NoTask {
            name: task.to_owned(),
            known: self.tasks.iter().map(|task| task.name.clone()).collect(),
        })?;
        Ok(Recommendation {
            reason: &found.reason,
            models: found
                .models
                .iter()
                .filter_map(|name| self.model(name))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> Model {
        Model {
            name: name.to_owned(),
            ..Model::default()
        }
    }

    fn candidate(model: &Model, room: Room, installed: bool) -> Candidate<'_> {
        let missing = (!installed).then(|| "vae/x".to_owned());
        Candidate {
            model,
            room,
            needs_gb: Some(12.5),
            by_turns_gb: None,
            moved_gb: 6.0,
            stock: Some(Stock {
                installed: vec!["unet/y".to_owned()],
                missing: missing.into_iter().collect(),
            }),
            too_new: None,
        }
    }

    fn chosen(candidates: &[Candidate<'_>]) -> Option<usize> {
        Choice::among(candidates, "good", Some(24.0)).chosen
    }

    #[test]
    fn what_is_installed_goes_before_what_is_better() {
        let (one, two) = (model("one"), model("two"));
        let both = |one_installed, two_installed| {
            chosen(&[
                candidate(&one, Room::Whole, one_installed),
                candidate(&two, Room::Streamed, two_installed),
            ])
        };
        assert_eq!(both(false, true), Some(1));
        assert_eq!(both(true, true), Some(0));
        assert_eq!(both(false, false), Some(0));
    }

    #[test]
    fn what_fits_goes_before_what_is_streamed_or_unknown() {
        let model = model("one");
        let of = |rooms: &[Room]| {
            let candidates: Vec<Candidate<'_>> = rooms
                .iter()
                .map(|room| candidate(&model, *room, true))
                .collect();
            chosen(&candidates)
        };
        assert_eq!(of(&[Room::Streamed, Room::Whole]), Some(1));
        assert_eq!(of(&[Room::Unknown, Room::Streamed]), Some(1));
        assert_eq!(of(&[Room::TooLarge, Room::Likely]), Some(1));
        assert_eq!(of(&[Room::TooLarge, Room::Unknown]), None);
    }

    #[test]
    fn what_is_current_goes_before_what_is_not_even_if_a_little_is_moved() {
        let (new, mut old) = (model("new"), model("old"));
        old.status = Status::Deprecated;
        old.replaced_by = Some("new".to_owned());
        let of = |moved_gb| {
            let near = Candidate {
                moved_gb,
                ..candidate(&new, Room::Streamed, true)
            };
            Choice::among(
                &[candidate(&old, Room::Whole, true), near],
                "good",
                Some(12.0),
            )
        };
        assert_eq!(of(0.5).chosen, Some(1));
        let slow = of(6.0);
        assert_eq!(slow.chosen, Some(0));
        assert!(
            slow.reason.contains("is deprecated, new is better"),
            "{}",
            slow.reason
        );
    }

    #[test]
    fn what_fits_by_turns_says_in_how_much() {
        let model = model("one");
        let tight = Candidate {
            needs_gb: Some(25.0),
            by_turns_gb: Some(23.0),
            ..candidate(&model, Room::Whole, true)
        };
        let reason = Choice::among(&[tight], "good", Some(24.0)).reason;
        assert!(reason.ends_with("by turns, in 23 GB"), "{reason}");
    }

    #[test]
    fn what_the_server_is_too_old_for_is_not_taken() {
        let (one, two) = (model("one"), model("two"));
        let mut new = candidate(&one, Room::Whole, true);
        new.too_new = Some("0.41.0".to_owned());
        let candidates = [new, candidate(&two, Room::Whole, false)];
        let choice = Choice::among(&candidates, "good", Some(24.0));
        assert_eq!(choice.chosen, Some(1));
        let why = choice.others[0]["why"].as_str().unwrap();
        assert!(why.starts_with("needs ComfyUI 0.41.0"), "{why}");
    }

    #[test]
    fn when_nothing_runs_it_is_said_what_the_smallest_needs() {
        let one = model("one");
        let choice = Choice::among(&[candidate(&one, Room::TooLarge, true)], "good", Some(2.0));
        assert_eq!(choice.chosen, None);
        let ending = "known to run on 2 GB; the smallest of which it is known, one, needs 12.5 GB";
        assert!(choice.reason.ends_with(ending), "{}", choice.reason);
    }

    #[test]
    fn without_a_card_the_best_is_taken() {
        let one = model("one");
        let candidates = [candidate(&one, Room::Unknown, false)];
        assert_eq!(Choice::among(&candidates, "good", None).chosen, Some(0));
    }
}
