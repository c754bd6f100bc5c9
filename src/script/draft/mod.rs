//! Any workflow as a template worth reading: named parts in the order of the work, what the
//! libraries have under their names, and what a person would change as parameters.
//!
//! A draft is never wrong: it is built as any template and held against the workflow that it was
//! made from. Where the libraries at hand lead to something else, it is written without them.
//!
//! ```text
//! read     the workflow as nodes with links to one another
//! probe    what each function of the libraries adds to a workflow
//! idiom    where the workflow has just that
//! order    what stands where, in which part
//! purpose  what the workflow makes of what
//! lift     values that become parameters; meaning: what they are; range: what they may be
//! name     what the nodes are called
//! literal  values in Rhai's words
//! write    the text; declare: its parameters
//! proof    whether it gives the workflow back
//! ```

mod declare;
mod error;
mod idiom;
mod lift;
mod literal;
mod meaning;
mod name;
mod order;
mod probe;
mod proof;
mod purpose;
mod range;
mod read;
mod write;

pub use error::DraftError;

use self::idiom::Unit;
pub(super) use self::probe::Idioms;
use self::read::Graph;
use super::{Generation, Key, Kind, Layer, Source};
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;

/// What a draft is called.
#[derive(Clone, Copy, Debug)]
pub struct DraftOptions<'a> {
    /// The template's name.
    pub name: &'a str,
    /// Its title, if there is a better one than the name.
    pub title: Option<&'a str>,
    /// Where the workflow is from, as a person is told: `flux.json`.
    pub from: Option<&'a str>,
    /// Inputs, by node and name, that were set in one place before the workflow became a prompt.
    pub shared: &'a [Vec<(String, String)>],
}

/// A workflow as the text of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The text.
    pub text: String,
    /// What of the workflow is not in it, because no run depends on it.
    pub notes: Vec<String>,
}

/// Writes a workflow as a template for the scripts of `generation`. Facts that lack some of its
/// classes merely help less.
pub fn draft(
    workflow: &Workflow,
    facts: &NodeFacts,
    generation: &Generation,
    options: &DraftOptions<'_>,
) -> Result<Draft, DraftError> {
    let graph = Graph::read(workflow, facts)?;
    let found = idiom::find(&graph, generation.idioms.of(generation));
    let with_idioms = found.iter().any(|unit| unit.call.is_some());
    if with_idioms {
        let text = text_of(&graph, workflow, facts, generation, found, options)?;
        if proof::differs(&graph, workflow, generation, &source(options, &text)).is_none() {
            return Ok(finished(graph, text));
        }
    }
    let plain = Unit::singles(&graph);
    let text = text_of(&graph, workflow, facts, generation, plain, options)?;
    match proof::differs(&graph, workflow, generation, &source(options, &text)) {
        None => Ok(finished(graph, text)),
        Some(how) => Err(DraftError::Differs(how)),
    }
}

fn text_of(
    graph: &Graph<'_>,
    workflow: &Workflow,
    facts: &NodeFacts,
    generation: &Generation,
    units: Vec<Unit>,
    options: &DraftOptions<'_>,
) -> Result<String, DraftError> {
    let purpose = purpose::of(graph, generation.knowledge());
    let anatomy = crate::comfy::anatomy::Anatomy::of(workflow, facts);
    let mut lifted = lift::lift(graph, &anatomy, &purpose, options.shared);
    let units = idiom::suited(units, &lifted);
    let ordered = order::arrange(graph, units)?;
    lifted.settle(graph, &ordered);
    let names = name::names(graph, &ordered, &anatomy, &purpose);
    Ok(write::text(
        graph, &ordered, &lifted, &names, &purpose, options,
    ))
}

fn finished(graph: Graph<'_>, text: String) -> Draft {
    Draft {
        text,
        notes: graph.notes,
    }
}

fn source(options: &DraftOptions<'_>, text: &str) -> Source {
    Source {
        key: Key {
            kind: Kind::Template,
            name: options.name.to_owned(),
        },
        layer: Layer::File,
        path: format!("{}.rhai", options.name).into(),
        text: text.to_owned(),
    }
}
