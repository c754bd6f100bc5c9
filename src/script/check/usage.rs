//! What is declared or imported and not used.
//!
//! A template hands its parameters on as a whole (`sampling::ksampler(g, loaded, p)`), so they are
//! followed into the functions that they are given to. Where they go out of sight, all count as used.

use std::collections::{BTreeSet, HashSet};

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::{places, tree};
use crate::script::resolver::Libraries;
use crate::script::{Diagnostic, Mistake, Script};

/// The parameters that nothing reads.
pub(super) fn parameters(script: &Script, libraries: &Libraries) -> Vec<Diagnostic> {
    let entry = script.key.entry();
    let Some(entry) = entry.filter(|entry| entry.params == ["p"]) else {
        return vec![];
    };
    let mut reader = Reader::default();
    reader.follow(script, libraries, entry.name, 1, 0);
    if reader.all {
        return vec![];
    }
    let params = script.declaration.params.iter();
    let unread = params.filter(|param| !reader.keys.contains(&param.name));
    let problems = unread.map(|param| {
        let message = format!("nothing reads the parameter \"{}\"", param.name);
        let position = places::declaration_of(&param.name, &script.text);
        Diagnostic::new(message, script.path.clone(), &script.text, position)
            .code(Mistake::UnusedParameter)
            .doubt()
            .hint(Some(format!("read p.{}, or take it away", param.name)))
    });
    problems.collect()
}

/// The libraries that nothing calls.
pub(super) fn imports(script: &Script) -> Vec<Diagnostic> {
    let mut used = HashSet::new();
    script.whole().walk(&mut |path: &[ASTNode]| {
        let node = path.last();
        if let Some((call, _)) = node.and_then(tree::call) {
            used.insert(tree::namespace(call));
        }
        match node {
            Some(ASTNode::Expr(Expr::Variable(variable, ..))) => {
                let first = variable.2.path.first();
                used.extend(first.map(|first| first.as_str().to_owned()));
            }
            // A function may be named by a text.
            Some(ASTNode::Expr(Expr::StringConstant(text, _))) => {
                used.extend(text.split_once("::").map(|(space, _)| space.to_owned()));
            }
            _ => {}
        }
        true
    });
    let imports = tree::imports(script).into_iter();
    let unused = imports.filter(|import| !used.contains(&import.alias));
    let problems = unused.map(|import| {
        let message = format!("nothing of the library \"{}\" is used", import.library);
        Diagnostic::new(message, script.path.clone(), &script.text, import.position)
            .code(Mistake::UnusedImport)
            .doubt()
            .hint(Some("take the import away".to_owned()))
    });
    problems.collect()
}

/// Which keys of a map are read, by whatever function it is handed on to.
#[derive(Default)]
struct Reader {
    keys: BTreeSet<String>,
    /// It went out of sight.
    all: bool,
    seen: HashSet<(String, String, usize, usize)>,
}

/// What is done with a map at one place.
enum Use {
    Key(String),
    /// It is given to a function as an argument: namespace, name, how many, which of them.
    Given(String, String, usize, usize),
    /// A closure takes it along, as which of its parameters.
    Closure(String, usize),
    /// Another variable stands for it.
    Alias(String),
    Anything,
}

impl Reader {
    /// Follows the argument at `index` of a script's function.
    fn follow(
        &mut self,
        script: &Script,
        libraries: &Libraries,
        function: &str,
        count: usize,
        index: usize,
    ) {
        let place = (script.key.path(), function.to_owned(), count, index);
        if self.all || !self.seen.insert(place) {
            return;
        }
        let parameters = tree::parameters_of(&script.ast, function, count);
        let Some(name) = parameters.and_then(|names| names.into_iter().nth(index)) else {
            self.all = true;
            return;
        };
        let alone = tree::alone(&script.ast, function, count);
        let mut names = vec![name];
        let mut uses = vec![];
        let mut known = 0;
        while let Some(name) = names.get(known).cloned() {
            known += 1;
            for found in uses_of(&name, &alone, known > 1) {
                match found {
                    Use::Alias(other) if names.contains(&other) => {}
                    Use::Alias(other) => names.push(other),
                    other => uses.push(other),
                }
            }
        }
        for use_ in uses {
            match use_ {
                Use::Alias(_) => {}
                Use::Key(key) => {
                    self.keys.insert(key);
                }
                Use::Given(namespace, name, count, index) => {
                    self.go_on(script, libraries, (&namespace, &name), count, index);
                }
                Use::Closure(name, index) => {
                    let mut functions = script.ast.iter_functions();
                    let closure = functions.find(|it| it.name == name);
                    let count = closure.map_or(0, |it| it.params.len());
                    self.follow(script, libraries, &name, count, index);
                }
                Use::Anything => self.all = true,
            }
        }
    }

    fn go_on(
        &mut self,
        script: &Script,
        libraries: &Libraries,
        (namespace, name): (&str, &str),
        count: usize,
        index: usize,
    ) {
        if namespace.is_empty() {
            if tree::parameters_of(&script.ast, name, count).is_none() {
                self.all = true;
                return;
            }
            return self.follow(script, libraries, name, count, index);
        }
        let imports = tree::imports(script);
        let import = imports.iter().find(|import| import.alias == namespace);
        match import.and_then(|import| libraries.get(&import.library)) {
            Some(library) => {
                self.follow(&library.script, &library.libraries, name, count, index);
            }
            None => self.all = true,
        }
    }
}

/// What is done with a parameter for as long as no variable has its name, or with one that is
/// declared.
fn uses_of(name: &str, function: &AST, is_declared: bool) -> Vec<Use> {
    let order = |position: Position| (position.line(), position.position());
    let mut shadowed = None;
    function.walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(Stmt::Var(declared, _, position))] = path
            && declared.0.as_str() == name
            && !is_declared
        {
            shadowed.get_or_insert(*position);
        }
        true
    });
    let mut uses = vec![];
    function.walk(&mut |path: &[ASTNode]| {
        let is_of_other = shadowed.is_some_and(|shadow| {
            // What makes the other variable may still read this one.
            let makes_it = path.first().is_some_and(|it| it.position() == shadow);
            let here = path.last().map_or(Position::NONE, ASTNode::position);
            !makes_it && order(here) > order(shadow)
        });
        if !is_of_other {
            uses.extend(use_of(name, path));
        }
        true
    });
    uses
}

/// What is done with the variable `name` where the path ends, if it ends there.
fn use_of(name: &str, path: &[ASTNode]) -> Option<Use> {
    let [.., above, ASTNode::Expr(this)] = path else {
        return None;
    };
    let Expr::Variable(variable, ..) = this else {
        return None;
    };
    if variable.1 != name || !variable.2.is_empty() {
        return None;
    }
    if let Some((call, _)) = tree::call(above) {
        return Some(given_to(call, this));
    }
    if let ASTNode::Stmt(Stmt::Var(declared, ..)) = above {
        return Some(Use::Alias(declared.0.as_str().to_owned()));
    }
    let key = match above {
        ASTNode::Expr(Expr::Dot(dot, ..)) if std::ptr::eq(&raw const dot.lhs, *this) => {
            key_behind_dot(&dot.rhs)
        }
        ASTNode::Expr(Expr::Index(index, ..)) if std::ptr::eq(&raw const index.lhs, *this) => {
            key_in_brackets(&index.rhs)
        }
        _ => None,
    };
    Some(key.map_or(Use::Anything, Use::Key))
}

fn given_to(call: &FnCallExpr, this: &Expr) -> Use {
    // `"KEY" in p`
    if let ("contains", [_, Expr::StringConstant(key, _)]) = (call.name.as_str(), &call.args[..]) {
        return Use::Key(key.to_string());
    }
    let index = call.args.iter().position(|arg| std::ptr::eq(arg, this));
    let Some(index) = index.filter(|_| !call.is_operator_call()) else {
        return Use::Anything;
    };
    // What a closure takes along stands before its own parameters.
    if call.name == "curry" {
        let closure = call.args.first().and_then(tree::pointed_at);
        let closure = closure.filter(|_| index > 0);
        return closure.map_or(Use::Anything, |closure| Use::Closure(closure, index - 1));
    }
    let namespace = tree::namespace(call);
    Use::Given(namespace, call.name.to_string(), call.args.len(), index)
}

fn key_behind_dot(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Property(property, _) => Some(property.2.to_string()),
        Expr::MethodCall(call, _) if matches!(call.name.as_str(), "get" | "contains") => {
            match call.args.first() {
                Some(Expr::StringConstant(key, _)) => Some(key.to_string()),
                _ => None,
            }
        }
        Expr::Dot(chain, ..) | Expr::Index(chain, ..) => key_behind_dot(&chain.lhs),
        _ => None,
    }
}

fn key_in_brackets(expression: &Expr) -> Option<String> {
    match expression {
        Expr::StringConstant(key, _) => Some(key.to_string()),
        Expr::Dot(chain, ..) | Expr::Index(chain, ..) => key_in_brackets(&chain.lhs),
        _ => None,
    }
}
