//! Scripts in a conversation: one input after the other, each with the variables, functions and
//! imports of those before it. An input may do what a pipeline may.
//!
//! To those after it an input is a library: what goes wrong in a function is shown in the text that
//! it was written in.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{AST, Dynamic, Engine, EvalAltResult, Expr, Module, Scope, Stmt};
use serde_json::Value;

use super::answers::reply;
use super::compile::{unparsed, without_declaration, without_statements};
use super::engine::SharedModule;
use super::explain::explained;
use super::handles::{NodeHandle, WorkflowHandle};
use super::host::Context;
use super::resolver::Libraries;
use super::run::engine_of;
use super::value::from_dynamic;
use super::{
    Caller, Declaration, Generation, Key, Kind, Layer, Reply, Runner, Script, ScriptError, Served,
    bindings, explain,
};
use crate::comfy::Workflow;

/// What an input came to.
#[derive(Clone, Debug)]
pub struct Made {
    /// What kind of value it is, such as "an array".
    pub ty: String,
    /// The value.
    pub value: MadeValue,
}

/// A value as far as it can be shown.
#[derive(Clone, Debug)]
pub enum MadeValue {
    /// Nothing.
    Nothing,
    /// A workflow, as it stands.
    Workflow(Workflow),
    /// A reply as tools give it.
    Reply(Box<Reply>),
    /// What can be written as JSON.
    Json(Value),
    /// What can only be told.
    Told(String),
}

/// What the inputs so far have left behind.
#[derive(Default)]
pub struct Repl {
    scope: Scope<'static>,
    /// The functions of each input, the newest last.
    functions: Vec<SharedModule>,
    /// The library behind each alias.
    imports: BTreeMap<String, String>,
    /// The inputs, by name.
    texts: HashMap<String, Served>,
    count: usize,
}

impl Repl {
    /// The names that an input can use, functions of libraries with their alias.
    #[must_use]
    pub fn names(&self, generation: &Generation) -> Vec<String> {
        let mut engine = Engine::new_raw();
        bindings::register(&mut engine, false);
        let mut names = bindings::function_names(&engine);
        names.extend(self.scope.iter().map(|(name, ..)| name.to_owned()));
        let own = self
            .texts
            .values()
            .flat_map(|input| input.script.function_names());
        names.extend(own.map(str::to_owned));
        for (alias, library) in &self.imports {
            let Ok(library) = generation.get(Kind::Lib, library) else {
                continue;
            };
            let functions = library.script.function_names();
            names.extend(functions.map(|function| format!("{alias}::{function}")));
        }
        let is_word = |name: &String| name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        names.retain(is_word);
        names.sort();
        names.dedup();
        names
    }

    /// A script of its own for the next input.
    fn script(&mut self, text: &str, file: Option<&Path>) -> Script {
        self.count += 1;
        let name = format!("input {}", self.count);
        Script {
            path: file.unwrap_or(Path::new(&name)).to_owned(),
            key: Key {
                kind: Kind::Lib,
                name,
            },
            layer: Layer::File,
            text: text.to_owned(),
            declaration: Declaration::default(),
            uri: None,
            imports: vec![],
            quoted: None,
            ast: AST::empty(),
            testing: None,
        }
    }

    /// Gives an engine what the inputs so far have defined.
    fn equip(&self, engine: &mut Engine, libraries: &Libraries) {
        for (alias, library) in &self.imports {
            let module = libraries.get(library).and_then(|it| it.module.clone());
            if let Some(module) = module {
                engine.register_static_module(alias, module);
            }
        }
        for module in &self.functions {
            engine.register_global_module(module.clone());
        }
    }

    fn evaluate(
        &mut self,
        script: &Script,
        context: &Arc<Context>,
        is_file: bool,
    ) -> Result<Made, ScriptError> {
        let libraries = context.generation.libraries_of(script).clone();
        let mut engine = engine_of(script, context);
        self.equip(&mut engine, &libraries);
        let compiled = engine.compile_with_scope(&self.scope, &script.text);
        let mut ast = compiled.map_err(|error| {
            let kind = Kind::Pipeline;
            let problem = unparsed(&error, &script.path, &script.text, kind);
            ScriptError::Broken(problem)
        })?;
        ast.set_source(script.key.path());
        if is_file {
            ast = without_declaration(&ast);
        }
        let failed = |error: &EvalAltResult, engine: &Engine| {
            explained(error, engine, &context.generation, script)
        };
        self.import(&ast, &libraries);
        if ast.has_functions() {
            let own = without_statements(&ast);
            let module = Module::eval_ast_as_new(self.scope.clone(), &own, &engine);
            let module = module.map_err(|error| failed(&error, &engine))?;
            let module = SharedModule::from(module);
            engine.register_global_module(module.clone());
            self.functions.push(module);
        }
        self.remember(script, ast.clone(), &libraries);
        let made = engine.eval_ast_with_scope::<Dynamic>(&mut self.scope, &ast);
        Ok(made_of(&made.map_err(|error| failed(&error, &engine))?))
    }

    /// Remembers the imports at the top of an input for those after it.
    fn import(&mut self, ast: &AST, libraries: &Libraries) {
        for statement in ast.statements() {
            if let Stmt::Import(import, _) = statement
                && let Expr::StringConstant(name, _) = &import.0
                && libraries.contains_key(name.as_str())
            {
                let alias = import.1.name.to_string();
                self.imports.insert(alias, name.to_string());
            }
        }
    }

    fn remember(&mut self, script: &Script, ast: AST, libraries: &Arc<Libraries>) {
        let name = script.key.name.clone();
        let script = Script {
            key: script.key.clone(),
            path: script.path.clone(),
            text: script.text.clone(),
            declaration: Declaration::default(),
            imports: vec![],
            quoted: None,
            uri: None,
            layer: Layer::File,
            ast,
            testing: None,
        };
        self.texts.insert(name, served(script, libraries.clone()));
    }
}

impl Runner {
    /// Evaluates an input. What it defined before it failed or was cancelled stays defined. Of a
    /// script's `file` it is the functions, constants and imports, without what it declares.
    pub async fn evaluate(
        &self,
        repl: Arc<Mutex<Repl>>,
        generation: &Generation,
        text: &str,
        file: Option<&Path>,
        caller: Caller,
    ) -> Result<Made, ScriptError> {
        let (generation, served) = {
            let mut repl = repl.lock().unwrap_or_else(PoisonError::into_inner);
            let script = repl.script(text, file);
            let libraries = generation.of_kind(Kind::Lib);
            let libraries = libraries.map(|it| (it.script.key.name.clone(), it.clone()));
            let mut libraries: Libraries = libraries.collect();
            libraries.extend(
                repl.texts
                    .iter()
                    .map(|(name, it)| (name.clone(), it.clone())),
            );
            let served = served(script, Arc::new(libraries));
            (generation.beside(served.clone()), served)
        };
        let is_file = file.is_some();
        let evaluate = move |script: &Script, context: &Arc<Context>| {
            let mut repl = repl.lock().unwrap_or_else(PoisonError::into_inner);
            repl.evaluate(script, context, is_file)
        };
        self.on_own_thread(
            generation.into(),
            served,
            serde_json::Map::new(),
            caller,
            evaluate,
        )
        .await
    }
}

fn served(script: Script, libraries: Arc<Libraries>) -> Served {
    Served {
        hash: blake3::hash(script.text.as_bytes()).to_hex().to_string(),
        script: script.into(),
        libraries,
        module: None,
    }
}

fn made_of(made: &Dynamic) -> Made {
    let ty = explain::type_word(made.type_name()).to_owned();
    let value = if made.is_unit() {
        MadeValue::Nothing
    } else if let Some(workflow) = made.read_lock::<WorkflowHandle>() {
        MadeValue::Workflow(workflow.snapshot())
    } else if let Some(node) = made.read_lock::<NodeHandle>() {
        let workflow = node.workflow.snapshot();
        let class = workflow.node(node.id()).and_then(|node| node.class_type());
        let class = class.unwrap_or_default();
        MadeValue::Told(format!("node [{}] {class}", node.id()))
    } else if ty == "a reply" {
        reply(made).map_or(MadeValue::Nothing, |reply| MadeValue::Reply(reply.into()))
    } else {
        match from_dynamic(made) {
            Ok(value) => MadeValue::Json(value),
            Err(_) => MadeValue::Told(ty.clone()),
        }
    };
    Made { ty, value }
}

/// What is said of a function, or of the functions of a namespace: each signature with what it does.
#[must_use]
pub fn documented(name: &str) -> Vec<(String, String)> {
    let mut engine = Engine::new_raw();
    bindings::register(&mut engine, false);
    let told = engine.gen_fn_metadata_to_json(false).unwrap_or_default();
    let told: Value = serde_json::from_str(&told).unwrap_or_default();
    let globals = told["functions"].as_array().into_iter().flatten();
    let globals = globals.map(|function| (String::new(), function));
    let spaces = told["modules"].as_object().into_iter().flatten();
    let of_spaces = spaces.flat_map(|(space, module)| {
        let functions = module["functions"].as_array().into_iter().flatten();
        functions.map(move |function| (format!("{space}::"), function))
    });
    let found = globals.chain(of_spaces).filter(|(space, function)| {
        let own = function["name"].as_str().unwrap_or_default();
        own == name || format!("{space}{own}") == name || space.strip_suffix("::") == Some(name)
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<(String, String)> = found
        .map(|(space, function)| {
            let comments = function["docComments"].as_array().into_iter().flatten();
            let lines = comments.flat_map(|comment| {
                let comment = text(comment);
                comment.lines().map(str::to_owned).collect::<Vec<_>>()
            });
            let lines = lines.map(|line| line.trim_start_matches('/').trim().to_owned());
            let signature = text(&function["signature"]);
            (
                format!("{space}{signature}"),
                lines.collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_documented_by_its_name_with_or_without_its_namespace() {
        for name in ["comfy::submit", "submit"] {
            let told = documented(name);
            assert!(told[0].0.starts_with("comfy::submit("), "{told:?}");
            assert!(
                !told[0].1.is_empty() && !told[0].1.contains("///"),
                "{told:?}"
            );
        }
        assert!(documented("comfy").len() > 5);
        assert!(documented("no_such_thing").is_empty());
    }
}
