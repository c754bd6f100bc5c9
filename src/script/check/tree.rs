//! What the checks see of a script's tree.

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, ScriptFuncDef, Stmt};

use crate::script::Script;

/// An import with its place.
pub(in crate::script) struct Import {
    /// The name by which the script calls it.
    pub(in crate::script) alias: String,
    /// The library.
    pub(in crate::script) library: String,
    pub(super) position: Position,
}

/// The libraries that a script imports.
pub(in crate::script) fn imports(script: &Script) -> Vec<Import> {
    let mut imports = vec![];
    script.whole().walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last()
            && let Expr::StringConstant(library, position) = &import.0
        {
            imports.push(Import {
                alias: import.1.name.to_string(),
                library: library.to_string(),
                position: *position,
            });
        }
        true
    });
    imports
}

/// One function to be walked. Rhai 1.27 filters nothing into an empty module, so others come along: good
/// enough where too much does no harm.
pub(super) fn alone(ast: &AST, name: &str, parameters: usize) -> AST {
    ast.clone_functions_only_filtered(|_, _, _, function, count| {
        function == name && count == parameters
    })
}

/// The names of a function's parameters.
pub(super) fn parameters_of(ast: &AST, name: &str, count: usize) -> Option<Vec<String>> {
    let mut functions = ast.iter_functions();
    let found = functions.find(|it| it.name == name && it.params.len() == count)?;
    Some(found.params.iter().map(|name| (*name).to_owned()).collect())
}

/// The call that a node is, in either of the forms that the parser has for it; not that of a method.
pub(in crate::script) fn call<'a>(node: &ASTNode<'a>) -> Option<(&'a FnCallExpr, Position)> {
    match node {
        ASTNode::Expr(Expr::FnCall(call, position))
        | ASTNode::Stmt(Stmt::FnCall(call, position)) => Some((call, *position)),
        _ => None,
    }
}

/// The namespace of a call as it is written, empty for a call without one.
pub(super) fn namespace(call: &FnCallExpr) -> String {
    let parts: Vec<&str> = call
        .namespace
        .path
        .iter()
        .map(rhai::Ident::as_str)
        .collect();
    parts.join("::")
}

/// The name of the function that a constant points to, as closures do.
pub(super) fn pointed_at(expression: &Expr) -> Option<String> {
    let Expr::DynamicConstant(value, _) = expression else {
        return None;
    };
    let pointer = value.read_lock::<rhai::FnPtr>()?;
    Some(pointer.fn_name().to_owned())
}

/// Whether a place lies within the body of a function.
pub(in crate::script) fn encloses(function: &ScriptFuncDef, position: Position) -> bool {
    let place = |position: Position| (position.line(), position.position());
    let body = &function.body;
    (place(body.start_position())..=place(body.end_position())).contains(&place(position))
}
