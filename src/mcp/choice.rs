//! Which of the tools are offered: a client pays for every tool that it is shown, so a user may
//! name those that are worth it, one by one or by category.

use std::collections::BTreeSet;

use crate::failure::{Code, Failure};
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::{Declaration, Generation, Kind, Served};

/// The tools that are offered; all of them unless something was said.
#[derive(Clone, Debug, Default)]
pub struct Choice(Option<BTreeSet<String>>);

/// A word that is neither a tool nor a category of tools.
#[derive(Debug, thiserror::Error)]
#[error("no tool and no category of tools is called \"{word}\"{}", did_you_mean(.nearest.as_deref()))]
pub struct ChoiceError {
    word: String,
    nearest: Option<String>,
    categories: Vec<String>,
}

impl From<ChoiceError> for Failure {
    fn from(error: ChoiceError) -> Self {
        let categories = error.categories.join(", ");
        Self::new(Code::INVALID_PARAMS, error.to_string()).hint(format!(
            "the categories are {categories}; `mmf script list` shows the tools"
        ))
    }
}

impl Choice {
    /// What `words` name among the tools at hand. A category stands for its later tools, too.
    pub fn of(words: &[String], generation: &Generation) -> Result<Self, ChoiceError> {
        let words: BTreeSet<String> = words
            .iter()
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect();
        let tools = || generation.of_kind(Kind::Tool);
        let names = || tools().map(|served| served.script.key.name.as_str());
        let categories: BTreeSet<&str> = tools()
            .filter_map(|served| category(&served.script.declaration))
            .collect();
        let known = || names().chain(categories.iter().copied());
        if let Some(word) = words
            .iter()
            .find(|word| known().all(|known| known != *word))
        {
            return Err(ChoiceError {
                word: word.clone(),
                nearest: nearest(word, known()),
                categories: categories.iter().map(|&name| name.to_owned()).collect(),
            });
        }
        Ok(Self((!words.is_empty()).then_some(words)))
    }

    /// Whether a tool is offered.
    pub(super) fn includes(&self, tool: &Served) -> bool {
        let Some(words) = &self.0 else {
            return true;
        };
        let script = &tool.script;
        words.contains(&script.key.name)
            || category(&script.declaration).is_some_and(|category| words.contains(category))
    }
}

fn category(declaration: &Declaration) -> Option<&str> {
    declaration.meta.get("category")?.as_str()
}
