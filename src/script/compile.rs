//! From text to a script that can be called.
//!
//! What stands at a script's top level is restricted to `const`, `import` and the declaration.
//! The declaration is evaluated once, here; a call then re-runs only the constants and imports.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rhai::{AST, ASTFlags, ASTNode, Expr, Position, Stmt};

use serde_json::{Map, Value};

use super::check::encloses;
use super::uri::UriTemplate;
use super::{
    Declaration, Diagnostic, Key, Kind, Layer, Mistake, ScriptError, Source, arguments, declare,
    engine, explain,
};
use crate::jobs::Moment;
use crate::knowledge::Knowledge;

/// The function of a resource that lists what there is to read.
pub(super) const LIST: &str = "list";

/// A script that compiles, has its entry function and declares itself properly.
#[derive(Clone, Debug)]
pub struct Script {
    /// Which script it is.
    pub key: Key,
    /// The layer that it came from.
    pub layer: Layer,
    /// The file; for a built-in script its path within the binary.
    pub path: PathBuf,
    /// The text.
    pub text: String,
    /// What it says about itself.
    pub declaration: Declaration,
    /// The addresses of what it reads, if it is a resource.
    pub uri: Option<UriTemplate>,
    /// The libraries that it imports, with the place of each import.
    pub(super) imports: Vec<(String, Position)>,
    /// The facts about models that its declaration quotes. It goes on with them if it does not
    /// work with newer ones.
    pub(super) quoted: Option<Arc<Knowledge>>,
    /// Functions, constants and imports; neither the declaration nor tests are among them.
    pub(super) ast: AST,
    /// The same with the script's own tests, if it has any.
    pub(super) testing: Option<AST>,
}

/// Whether a function is a test: it is called without arguments, and by nobody but `mmf script test`.
pub(super) fn is_test(name: &str, parameters: usize) -> bool {
    name.starts_with("test_") && parameters == 0
}

impl Script {
    /// What it was compiled from.
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            key: self.key.clone(),
            layer: self.layer,
            path: self.path.clone(),
            text: self.text.clone(),
        }
    }

    /// Compiles `source`; what is wrong with it is shown in place.
    pub(super) fn compile(
        source: &Source,
        knowledge: &Arc<Knowledge>,
    ) -> Result<Arc<Self>, Box<Diagnostic>> {
        let compiler = Compiler { source, knowledge };
        let mut ast = engine::compiling(source.key.kind.is_pure())
            .compile(&source.text)
            .map_err(|error| compiler.diagnose_parse(&error))?;
        ast.set_source(source.key.path());
        compiler.check_top_level(&ast)?;
        compiler.check_entry(&ast)?;
        let (declaration, quoted) = compiler.declare(&ast)?;
        let uri = compiler.uri(&ast, &declaration)?;
        let imports = compiler.imports(&ast)?;
        let whole = without_declaration(&ast);
        let served = without_tests(&whole);
        Ok(Arc::new(Self {
            key: source.key.clone(),
            layer: source.layer,
            path: source.path.clone(),
            text: source.text.clone(),
            declaration,
            uri,
            imports,
            quoted,
            testing: served.is_some().then(|| whole.clone()),
            ast: served.unwrap_or(whole),
        }))
    }

    /// The arguments with which it is called for what a caller gave: checked, defaults filled in.
    pub fn arguments(&self, given: Map<String, Value>) -> Result<Map<String, Value>, ScriptError> {
        arguments::check(&self.declaration, given).map_err(|errors| {
            ScriptError::Arguments(arguments::failure(&errors, &self.declaration))
        })
    }

    /// All of its functions, its tests among them.
    pub(super) fn whole(&self) -> &AST {
        self.testing.as_ref().unwrap_or(&self.ast)
    }

    /// How many parameters its function of this name takes, if it has one.
    pub(super) fn arity(&self, function: &str) -> Option<usize> {
        let found = self.ast.iter_functions().find(|it| it.name == function);
        found.map(|function| function.params.len())
    }

    /// The place of a function's last statement, whose value it gives.
    pub(super) fn last_of(&self, function: &str) -> Position {
        let mut functions = self.ast.iter_fn_def();
        let Some(function) = functions.find(|it| it.name == function) else {
            return Position::NONE;
        };
        let mut last = function.body.start_position();
        let order = |position: Position| (position.line(), position.position());
        self.ast.walk(&mut |path: &[ASTNode]| {
            if let [ASTNode::Stmt(statement)] = path
                && encloses(function, statement.position())
                && order(statement.position()) > order(last)
            {
                last = statement.position();
            }
            true
        });
        last
    }

    /// Whether it lists page by page: its listing takes where to go on from.
    pub(crate) fn lists_pages(&self) -> bool {
        self.arity(LIST).is_some_and(|parameters| parameters > 0)
    }

    /// The names of the functions that it defines.
    pub(super) fn function_names(&self) -> impl Iterator<Item = &str> {
        self.ast.iter_functions().map(|function| function.name)
    }

    /// The functions that are meant for whoever imports them: with a comment, and a workflow to
    /// begin with; each with the names of its other parameters.
    pub(super) fn described(&self) -> Vec<(String, Vec<String>)> {
        let functions = self.ast.iter_functions();
        let meant = functions.filter(|function| {
            !function.comments.is_empty() && function.params.first() == Some(&"g")
        });
        let mut found: Vec<(String, Vec<String>)> = meant
            .map(|function| {
                let parameters = function.params.iter().skip(1);
                let parameters = parameters.map(|name| (*name).to_owned()).collect();
                (function.name.to_owned(), parameters)
            })
            .collect();
        found.sort();
        found
    }
}

struct Compiler<'a> {
    source: &'a Source,
    knowledge: &'a Arc<Knowledge>,
}

impl Compiler<'_> {
    fn diagnose(&self, message: impl Into<String>, position: Position) -> Box<Diagnostic> {
        let source = self.source;
        let diagnostic =
            Diagnostic::new(message.into(), source.path.clone(), &source.text, position);
        diagnostic.code(Mistake::Declaration).into()
    }

    fn diagnose_parse(&self, error: &rhai::ParseError) -> Box<Diagnostic> {
        let source = self.source;
        unparsed(error, &source.path, &source.text, source.key.kind)
    }

    fn check_top_level(&self, ast: &AST) -> Result<(), Box<Diagnostic>> {
        for statement in ast.statements() {
            if role(statement) == Role::Other {
                let message = "only declarations, const and import may stand outside functions";
                let entry = self.source.key.entry();
                let hint = entry.map(|entry| format!("move it into {entry}"));
                return Err(Box::new(
                    self.diagnose(message, statement.position()).hint(hint),
                ));
            }
        }
        Ok(())
    }

    fn check_entry(&self, ast: &AST) -> Result<(), Box<Diagnostic>> {
        let kind = self.source.key.kind;
        let Some(entry) = self.source.key.entry() else {
            if kind == Kind::Hook {
                let names = Moment::ALL.map(Moment::as_str).join(", ");
                let message = format!("a hook is called one of {names}, and so is its function");
                return Err(self.diagnose(message, Position::NONE));
            }
            return Ok(());
        };
        let found = ast
            .iter_functions()
            .find(|function| function.name == entry.name);
        let (message, position, hint) = match found {
            Some(function) if function.params.len() == entry.params.len() => return Ok(()),
            Some(function) => {
                let (has, given) = (function.params.len(), entry.params.len());
                let message = format!(
                    "{} takes {has} parameters and is called with {given}",
                    entry.name
                );
                let mut functions = ast.iter_fn_def();
                let body = functions.find(|it| it.name == entry.name);
                let position = body.map_or(Position::NONE, |it| it.body.start_position());
                (message, position, format!("write {entry} {{ ... }}"))
            }
            None => {
                let own = ast.iter_functions().map(|function| function.name);
                let hint = match arguments::nearest(entry.name, own) {
                    Some(like) => format!("rename {like} to {}", entry.name),
                    None => format!("write {entry} {{ ... }}"),
                };
                let message = format!("a {kind} needs a function {entry}");
                (message, Position::NONE, hint)
            }
        };
        Err(Box::new(self.diagnose(message, position).hint(Some(hint))))
    }

    fn imports(&self, ast: &AST) -> Result<Vec<(String, Position)>, Box<Diagnostic>> {
        let mut imports = vec![];
        let mut computed = None;
        ast.walk(&mut |path: &[ASTNode]| {
            if let Some(ASTNode::Stmt(Stmt::Import(import, position))) = path.last() {
                match &import.0 {
                    Expr::StringConstant(name, position) => {
                        imports.push((name.to_string(), *position));
                    }
                    _ => computed = Some(*position),
                }
            }
            true
        });
        match computed {
            None => Ok(imports),
            Some(position) => {
                let problem = self.diagnose("an import names its library in quotes", position);
                Err(Box::new(problem.code(Mistake::MissingImport)))
            }
        }
    }

    /// A declaration stands for itself, without what is imported; Rhai 1.27 panics when it meets
    /// what a library has that is not there.
    fn check_no_library(&self, declaring: &AST) -> Result<(), Box<Diagnostic>> {
        let mut found = None;
        declaring.walk(&mut |path: &[ASTNode]| {
            let used = match path.last() {
                Some(ASTNode::Expr(Expr::Variable(variable, _, position))) => {
                    Some((&variable.2, &variable.1, position))
                }
                Some(
                    ASTNode::Expr(Expr::FnCall(call, position))
                    | ASTNode::Stmt(Stmt::FnCall(call, position)),
                ) => Some((&call.namespace, &call.name, position)),
                _ => None,
            };
            if let Some((_, name, position)) = used.filter(|(namespace, ..)| !namespace.is_empty())
            {
                found.get_or_insert((name.to_string(), *position));
            }
            found.is_none()
        });
        let Some((name, position)) = found else {
            return Ok(());
        };
        let message = format!("a declaration can't use {name}, which a library has");
        let hint = "write the value here, or let the function that is called fill it in";
        let diagnostic = self.diagnose(message, position);
        Err(Box::new(diagnostic.hint(Some(hint.to_owned()))))
    }

    /// The declaration, and the facts that it quotes.
    fn declare(&self, ast: &AST) -> Result<(Declaration, Option<Arc<Knowledge>>), Box<Diagnostic>> {
        let statements = ast.statements().iter();
        let declaring = statements
            .filter(|statement| role(statement) != Role::Import)
            .cloned();
        let declaring = AST::new(declaring, rhai::Module::new());
        self.check_no_library(&declaring)?;
        let evaluated = declare::evaluate(&declaring, self.knowledge);
        let (mut declaration, quotes) = evaluated.map_err(|error| {
            let innermost = explain::innermost(&error);
            let known = explain::Known::declaring(self.source.key.kind);
            let (message, hint) = explain::read(innermost.error, &known);
            Box::new(self.diagnose(message, innermost.position).hint(hint))
        })?;
        let kind = self.source.key.kind;
        let is_offered = matches!(kind, Kind::Tool | Kind::Prompt | Kind::Resource);
        if is_offered && declaration.about.is_empty() {
            let message = format!("a {kind} says what it does: about(\"...\")");
            return Err(self.diagnose(message, Position::NONE));
        }
        if declaration.title.is_empty() {
            declaration.title.clone_from(&self.source.key.name);
        }
        Ok((declaration, quotes.then(|| self.knowledge.clone())))
    }

    /// The address of a resource, whose variables are its parameters.
    fn uri(
        &self,
        ast: &AST,
        declaration: &Declaration,
    ) -> Result<Option<UriTemplate>, Box<Diagnostic>> {
        if self.source.key.kind != Kind::Resource {
            return Ok(None);
        }
        let fail = |message: String| self.diagnose(message, Position::NONE);
        let uri = declaration.meta.get("uri").and_then(Value::as_str);
        let uri = uri.ok_or_else(|| {
            fail("a resource says its address: meta(#{ uri: \"mmf://...\" })".to_owned())
        })?;
        let uri = UriTemplate::parse(uri).map_err(fail)?;
        if let Some(name) = uri
            .variables()
            .find(|name| declaration.param(name).is_none())
        {
            let message =
                format!("{{{name}}} of the address is no parameter: param(\"{name}\", \"string\")");
            return Err(fail(message));
        }
        let placed = |name: &str| uri.variables().any(|variable| variable == name);
        if let Some(param) = declaration.params.iter().find(|param| !placed(&param.name)) {
            return Err(fail(format!("{} has no place in the address", param.name)));
        }
        let listing = ast.iter_functions().find(|function| function.name == LIST);
        if listing.is_some_and(|function| function.params.len() > 1) {
            return Err(fail(format!(
                "{LIST} takes one parameter at most: where to go on"
            )));
        }
        Ok(Some(uri))
    }
}

/// Why a text is no script, shown in place.
pub(super) fn unparsed(
    error: &rhai::ParseError,
    path: &Path,
    text: &str,
    kind: Kind,
) -> Box<Diagnostic> {
    let message = explain::parse_message(&error.0, Some(kind));
    let diagnostic = Diagnostic::new(message, path.to_owned(), text, error.1);
    let code = if explain::is_effect(&error.0, kind) {
        Mistake::EffectInPure
    } else {
        Mistake::Syntax
    };
    let hint = explain::parse_hint(&error.0, error.1, kind, text);
    Box::new(diagnostic.code(code).hint(hint))
}

/// What is served of a script with tests of its own; nothing for one without.
fn without_tests(ast: &AST) -> Option<AST> {
    let mut functions = ast.iter_functions();
    functions.find(|it| is_test(it.name, it.params.len()))?;
    let mut served = ast.clone();
    served.retain_functions(|_, _, name, parameters| !is_test(name, parameters));
    Some(served)
}

#[derive(PartialEq, Eq)]
enum Role {
    Const,
    Import,
    Declaration,
    Other,
}

fn role(statement: &Stmt) -> Role {
    match statement {
        Stmt::Var(_, flags, _) if flags.intersects(ASTFlags::CONSTANT) => Role::Const,
        Stmt::Import(..) => Role::Import,
        Stmt::FnCall(..) | Stmt::Noop(_) => Role::Declaration,
        Stmt::Expr(expression) if matches!(**expression, Expr::FnCall(..)) => Role::Declaration,
        _ => Role::Other,
    }
}

/// The functions, constants and imports, and whatever else is no declaration.
pub(super) fn without_declaration(ast: &AST) -> AST {
    keep(ast, |role| role != Role::Declaration)
}

/// The functions, constants and imports alone.
pub(super) fn without_statements(ast: &AST) -> AST {
    keep(ast, |role| matches!(role, Role::Const | Role::Import))
}

fn keep(ast: &AST, kept: impl Fn(Role) -> bool) -> AST {
    let statements = ast.statements().iter();
    let kept = statements
        .filter(|statement| kept(role(statement)))
        .cloned();
    let mut kept = AST::new(kept, ast.shared_lib().clone());
    if let Some(source) = ast.source() {
        kept.set_source(source);
    }
    kept
}
