//! The names that there are: what an input may be completed to.

use std::sync::{Arc, PoisonError, RwLock};

use crate::comfy::nodes::{Input, NodeClass, NodeFacts};
use crate::script::{Kind, Library};

/// Asked for while a line is typed.
pub(super) trait Names {
    /// Functions with their namespaces, variables, and the words of the language.
    fn words(&self) -> Vec<String>;
    /// The node classes.
    fn classes(&self) -> Vec<String>;
    /// The inputs of a class.
    fn inputs(&self, class: &str) -> Vec<String>;
    /// What an input of a class may be: choices, model files among them.
    fn choices(&self, class: &str, input: &str) -> Vec<String>;
    /// The scripts of some kinds.
    fn scripts(&self, kinds: &[Kind]) -> Vec<String>;
}

/// The words of the language.
const LANGUAGE: [&str; 18] = [
    "break", "catch", "const", "continue", "else", "false", "for", "if", "import", "let", "loop",
    "return", "switch", "throw", "true", "try", "while", "in",
];

/// What there is at present.
pub(super) struct World {
    library: Arc<Library>,
    nodes: Arc<NodeFacts>,
    names: RwLock<Vec<String>>,
}

impl World {
    pub(super) fn new(library: Arc<Library>, nodes: Arc<NodeFacts>) -> Self {
        Self {
            library,
            nodes,
            names: RwLock::default(),
        }
    }

    /// What can be used in the next input.
    pub(super) fn set_names(&self, names: Vec<String>) {
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names;
    }
}

impl Names for World {
    fn words(&self) -> Vec<String> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let language = LANGUAGE.into_iter().map(str::to_owned);
        names.iter().cloned().chain(language).collect()
    }

    fn classes(&self) -> Vec<String> {
        self.nodes.names().map(str::to_owned).collect()
    }

    fn inputs(&self, class: &str) -> Vec<String> {
        let class = self.nodes.class(class);
        let inputs = class.into_iter().flat_map(NodeClass::inputs);
        inputs.map(|input| input.name().to_owned()).collect()
    }

    fn choices(&self, class: &str, input: &str) -> Vec<String> {
        let input = self.nodes.class(class).and_then(|class| class.input(input));
        let choices = input.and_then(Input::choices).into_iter().flatten();
        choices
            .filter_map(|choice| choice.as_str().map(str::to_owned))
            .collect()
    }

    fn scripts(&self, kinds: &[Kind]) -> Vec<String> {
        let generation = self.library.generation();
        let of_kinds = kinds.iter().flat_map(|kind| generation.of_kind(*kind));
        of_kinds.map(|it| it.script.key.name.clone()).collect()
    }
}
