//! Model files that a script names by default and that the server does not have.

use super::places;
use crate::comfy::model_name::{installed, nearest_files};
use crate::comfy::nodes::NodeFacts;
use crate::script::{Diagnostic, Mistake, Script, Type};

/// The defaults of a script's parameters for model files, held against what the server lists. Facts
/// without a server's files say nothing of them.
pub(super) fn check(script: &Script, facts: &NodeFacts) -> Vec<Diagnostic> {
    if !super::is_own(script) {
        return vec![];
    }
    let params = script.declaration.params.iter();
    let models = params.filter(|param| param.ty == Type::Model);
    let problems = models.filter_map(|param| {
        let folder = param.folder.as_deref()?;
        let file = param.default.as_str().filter(|file| !file.is_empty())?;
        let offered: Vec<String> = facts.offered(folder).map(str::to_owned).collect();
        if offered.is_empty() || installed(file, &offered).is_some() {
            return None;
        }
        let like = nearest_files(file, offered.iter().map(String::as_str), 1);
        let hint = like.first().map_or_else(
            || format!("put it into models/{folder}"),
            |like| format!("did you mean {like}?"),
        );
        let message = format!("the server has no \"{file}\" in {folder}");
        let position = places::declaration_of(&param.name, &script.text);
        let problem = Diagnostic::new(message, script.path.clone(), &script.text, position);
        Some(problem.code(Mistake::MissingModel).doubt().hint(Some(hint)))
    });
    problems.collect()
}
