//! Why a text is no script, and what to do about it.

use rhai::{LexError, ParseErrorType, Position};

use super::hints::purity_hint;
use super::words::{lower_first, type_word};
use crate::script::arguments::nearest;
use crate::script::{Kind, bindings};

/// What the parser stumbled over, as a sentence fragment.
pub(in crate::script) fn parse_message(error: &ParseErrorType, kind: Option<Kind>) -> String {
    use ParseErrorType as P;
    match error {
        P::ModuleUndefined(name) => match kind.filter(|kind| is_effect(error, *kind)) {
            Some(kind) => format!("a {kind} has no {name}::"),
            None => format!("no library \"{name}\" is imported"),
        },
        P::MalformedIndexExpr(text) => match text.split_once(", not ") {
            Some((of, found)) if of.starts_with("Object map") => {
                format!("a map's keys are texts, not {found}")
            }
            Some((_, found)) => format!("an array's items go by number, not by {found}"),
            None => "nothing can be under this index".to_owned(),
        },
        P::UnexpectedEOF => "the script ends too early".to_owned(),
        P::BadInput(error) => lexer(error),
        P::UnknownOperator(operator) => format!("there is no operator {operator}"),
        P::MissingToken(token, what) => format!("expected {token} {}", plain(what)),
        P::DuplicatedProperty(name) => format!("the map has \"{name}\" twice"),
        P::DuplicatedVariable(name) => format!("\"{name}\" is there twice"),
        P::VariableExists(name) => format!("there is a variable \"{name}\" already"),
        P::WrongSwitchIntegerCase => "a number follows a range in this switch".to_owned(),
        P::WrongSwitchDefaultCase => "_ has to be the last case of a switch".to_owned(),
        P::WrongSwitchCaseCondition => "this case can't have a condition".to_owned(),
        P::PropertyExpected => "a name has to stand here".to_owned(),
        P::VariableExpected => "the name of a variable has to stand here".to_owned(),
        P::ForbiddenVariable(name) => format!("\"{name}\" can't name a variable"),
        P::Reserved(word) if is_word(word) => format!("\"{word}\" is a word of the language"),
        P::Reserved(symbol) => format!("{symbol} means nothing here"),
        P::MismatchedType(wanted, found) => {
            format!("expected {}, found {}", plain(wanted), type_word(found))
        }
        P::ExprExpected(what) => format!("expected {} here", expression(what)),
        P::WrongDocComment => "a comment with /// belongs above a function".to_owned(),
        P::WrongFnDefinition => "a function can't stand within another or a block".to_owned(),
        P::FnDuplicatedDefinition(name, count) => {
            let end = if *count == 1 { "" } else { "s" };
            format!("there are two functions {name} with {count} parameter{end}")
        }
        P::FnMissingName => "the function has no name".to_owned(),
        P::FnMissingParams(name) => format!("the function {name} has no parameters in ( )"),
        P::FnDuplicatedParam(name, parameter) => {
            format!("{name} has the parameter \"{parameter}\" twice")
        }
        P::FnMissingBody(name) if name.is_empty() => "the closure has no body".to_owned(),
        P::FnMissingBody(name) => format!("the function {name} has no body in {{ }}"),
        P::WrongExport => "export can't stand in a function".to_owned(),
        P::AssignmentToConstant(name) if name.is_empty() => "a constant can't be set".to_owned(),
        P::AssignmentToConstant(name) => format!("\"{name}\" is a constant"),
        P::AssignmentToInvalidLHS(_) => "this can't be set".to_owned(),
        P::VariableUndefined(name) => format!("no variable \"{name}\""),
        P::ExprTooDeep => "the expression is nested too deeply".to_owned(),
        P::TooManyFunctions => "the script has too many functions".to_owned(),
        P::LiteralTooLarge(what, most) => {
            format!("too large: {} of more than {most}", lower_first(what))
        }
        P::LoopBreak => "this stands outside of a loop".to_owned(),
        other => plain(&lower_first(&other.to_string())),
    }
}

fn lexer(error: &LexError) -> String {
    match error {
        LexError::UnexpectedInput(text) => format!("unexpected {text}"),
        LexError::UnterminatedString => "the text is not closed".to_owned(),
        LexError::MalformedEscapeSequence(text) => format!("{text} is no escape"),
        LexError::MalformedNumber(text) if text.is_empty() => "this is no number".to_owned(),
        LexError::MalformedNumber(text) => format!("{text} is no number"),
        LexError::MalformedChar(text) => format!("'{text}' is no single character"),
        LexError::MalformedIdentifier(text) => format!("{text} is no name"),
        LexError::ImproperSymbol(symbol, _) => format!("{symbol} means nothing here"),
        other => lower_first(&other.to_string()),
    }
}

/// The parser's words in ours.
fn plain(text: &str) -> String {
    let text = text.replace("this object map literal", "this map");
    let text = text.replace("this array literal", "this array");
    text.replace("a boolean expression", "true or false")
        .replace("an iterable value", "something to go through")
}

fn expression(what: &str) -> String {
    match what {
        "" => "a value".to_owned(),
        "a boolean" => "a condition".to_owned(),
        other => other.to_owned(),
    }
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// What to do about a text that does not parse.
pub(in crate::script) fn parse_hint(
    error: &ParseErrorType,
    position: Position,
    kind: Kind,
    text: &str,
) -> Option<String> {
    use ParseErrorType as P;
    let line = line_of(text, position);
    let from_there = behind(line, position);
    let strange = ["===", "!=="].into_iter().find(|it| line.contains(it));
    let advice = match error {
        P::MismatchedType(..) if strange.is_some() => return strange.map(of_word),
        P::FnMissingBody(_) if from_there.starts_with("->") => return Some(of_word("->")),
        P::VariableUndefined(name)
            if from_there
                .strip_prefix(name.as_str())
                .is_some_and(|behind| behind.trim_start().starts_with(": ")) =>
        {
            "a map is written #{ name: value }"
        }
        P::ModuleUndefined(name) => return Some(of_library(name, kind)),
        P::VariableUndefined(name) => return Some(of_variable(name, text)),
        P::BadInput(error) => return of_lexer(error),
        P::Reserved(word) | P::UnknownOperator(word) => return Some(of_word(word)),
        P::MissingToken(token, what) => return of_token(token, what).map(str::to_owned),
        P::UnexpectedEOF => {
            "something is not closed: for each {, ( and [ there has to be a }, ) and ]"
        }
        P::ExprExpected(_) => {
            "write the value that belongs here, or take away what stands before it"
        }
        P::MismatchedType(wanted, _) if wanted.contains("boolean") => {
            "a condition is true or false: write what is asked, as in n != 0"
        }
        P::MismatchedType(..) => {
            "for goes through an array, a range such as 0..4, a text's chars() or a map's keys()"
        }
        P::MalformedIndexExpr(text) if text.starts_with("Object map") => {
            "a map's keys are texts: map[\"key\"], or map[`${number}`]"
        }
        P::MalformedIndexExpr(_) => "an array's items are counted with ints: array[0]",
        P::DuplicatedProperty(_) | P::DuplicatedVariable(_) | P::FnDuplicatedParam(..) => {
            "take one of the two away, or name it otherwise"
        }
        P::WrongSwitchDefaultCase => "move _ => ... to the end of the switch",
        P::PropertyExpected => "a map is written #{ name: value }, and read as map.name",
        P::VariableExpected => "let name = value; for name in array { ... } catch (name) { ... }",
        P::ForbiddenVariable(_) => "take another name",
        P::WrongDocComment => "write // for a comment that stands elsewhere",
        P::WrongFnDefinition => {
            "move it out, or write a closure: let double = |x| x * 2; double.call(4)"
        }
        P::FnDuplicatedDefinition(..) => "rename one of the two, or take it away",
        P::FnMissingName => "fn name(a, b) { ... }; a closure is written |a, b| ...",
        P::FnMissingParams(_) | P::FnMissingBody(_) => "fn name(a, b) { ... }",
        P::AssignmentToConstant(_) => "what changes is made with let",
        P::AssignmentToInvalidLHS(_) => {
            "a variable can be set, a key of a map and an item of an array; == compares"
        }
        P::ExprTooDeep => "take a part of it into a variable first",
        P::LiteralTooLarge(..) => {
            "a workflow of that size lies in a file: mmf import makes a template of it"
        }
        P::LoopBreak => "return leaves a function",
        P::WrongExport => "all functions of a library can be called; constants stand at its top",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn line_of(text: &str, position: Position) -> &str {
    let line = position.line().and_then(|line| text.lines().nth(line - 1));
    line.unwrap_or_default()
}

/// What stands at a place of a line and behind it.
fn behind(line: &str, position: Position) -> &str {
    let column = position.position().unwrap_or(1);
    let start = line.char_indices().nth(column.saturating_sub(1));
    start.map_or("", |(start, _)| &line[start..])
}

fn of_lexer(error: &LexError) -> Option<String> {
    let advice = match error {
        LexError::MalformedChar(_) => "text stands in double quotes: \"...\"",
        LexError::UnterminatedString => {
            "a text ends with \" on the same line; one of several lines stands in backticks"
        }
        LexError::MalformedEscapeSequence(_) => {
            "a backslash is written \\\\; the others are \\n, \\t, \\\" and \\u1234; paths may have /"
        }
        LexError::MalformedNumber(_) => "numbers are 42, 1_000, 1.5, 1e3 and 0xff",
        LexError::UnexpectedInput(text) if matches!(text.as_str(), ";" | ")" | "]" | "}" | ",") => {
            "a value is missing before it, or a (, [ or { is not closed"
        }
        LexError::UnexpectedInput(_) => "take it away, or put it in quotes if it is text",
        LexError::ImproperSymbol(symbol, _) => return Some(of_word(symbol)),
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Words and symbols of other languages.
fn of_word(word: &str) -> String {
    let advice = match word {
        "default" => "a parameter's default is its value: #{ value: 42 }",
        "var" | "static" => "let makes a variable, const a constant at the top",
        "null" | "nil" | "void" | "undefined" | "None" => "the value for nothing is ()",
        "new" => "things are made by calling a function: workflow()",
        "match" | "case" => "switch x { 1 => \"one\", 2 | 3 => \"some\", _ => \"many\" }",
        "spawn" | "thread" | "go" | "async" | "await" | "sync" => {
            "parallel([|| one(), || other()]) does things beside each other"
        }
        "use" | "module" | "package" => "import \"library\" as library; at the top",
        "public" | "protected" => "all functions of a library can be called",
        "exit" => "return leaves a function, throw ends the script with an error",
        "eval" => "scripts::run_source(text, #{}) runs a script that is given as text",
        "===" | "=" => "== compares; = sets a variable and stands by itself",
        "!==" => "!= is what compares",
        ":=" => "let name = value; then name = value;",
        "->" => {
            "a function says nothing of what it gives: fn name(a) { ... }; a closure is |a| ..."
        }
        "<-" => "= sets a variable, <= compares",
        "::<" => "types are not written",
        "++" => "write n += 1",
        "--" => "write n -= 1",
        "?" => "a choice is written if condition { one } else { other }",
        "#" | "# {" => "a map is written #{ name: value }, a comment // words",
        "(*" | "*)" => "a comment is written // words",
        "!" => "! stands before what is true or false",
        _ if is_word(word) => {
            return format!("as a key write it in quotes, \"{word}\"; as a name take another");
        }
        _ => "take it away",
    };
    advice.to_owned()
}

fn of_token(token: &str, what: &str) -> Option<&'static str> {
    Some(match token {
        ";" => "the statement before this place needs a ; at its end",
        "}" => "a map is written #{ ... }, a block { ... }: one of them is not closed",
        ")" => "a ( is not closed, or a , is missing before this place",
        "]" => "a [ is not closed, or a , is missing before this place",
        "," if what.contains("array") => "a , is missing between two items, or the ] at their end",
        "," if what.contains("map") => "a , is missing between two entries, or the } at their end",
        "," => "a , is missing between two of them, or the ) at their end",
        ":" => "an entry of a map is written name: value",
        "{" if what.contains("switch") => "switch x { 1 => \"one\", _ => \"other\" }",
        "{" => "what follows if, else, for, while, try and fn stands in { }",
        "=>" => "a case of a switch is written value => result",
        "in" => "for item in array { ... }",
        "(" => "fn name(a, b) { ... }",
        "|" => "a closure is written |a, b| a + b",
        "catch" => "try { ... } catch (e) { ... }",
        "while" | "until" => "do { ... } while condition;",
        _ => return None,
    })
}

fn of_library(name: &str, kind: Kind) -> String {
    if let Some(hint) = purity_hint(name, kind) {
        return hint;
    }
    let spaces = (!kind.is_pure())
        .then(bindings::effect_namespaces)
        .into_iter()
        .flatten();
    match nearest(name, spaces) {
        Some(like) => format!("did you mean {like}::?"),
        None => format!("import \"{name}\" as {name}; at the top of the script"),
    }
}

fn of_variable(name: &str, text: &str) -> String {
    match name {
        "undefined" | "None" | "nothing" => return of_word(name),
        "True" | "TRUE" => return "it is written true".to_owned(),
        "False" | "FALSE" => return "it is written false".to_owned(),
        "self" => return "hand it over as a parameter; a method calls it this".to_owned(),
        _ => {}
    }
    let constant = format!("const {name} ");
    if text.lines().any(|line| line.starts_with(&constant)) {
        return format!("functions reach a constant as global::{name}");
    }
    match nearest(name, names_in(text).filter(|other| *other != name)) {
        Some(like) => format!("did you mean {like}?"),
        None => {
            format!(
                "functions see their parameters and global::CONSTANTS only; let {name} = ...; makes one"
            )
        }
    }
}

/// The names that a text gives to variables and parameters, as far as its words tell.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let declared = ["let ", "for ", "catch ("]
        .into_iter()
        .flat_map(move |word| text.split(word).skip(1).filter_map(first_word));
    let of_functions = text.split("fn ").skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once('(')?;
        Some(rest.split_once(')')?.0)
    });
    let of_closures = text.split('|').skip(1).step_by(2);
    let params = of_functions
        .chain(of_closures)
        .filter(|params| params.len() < 200)
        .flat_map(|params| params.split(',').map(str::trim));
    declared.chain(params).filter(is_name)
}

fn first_word(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text.get(..end.unwrap_or(text.len()))
}

/// Whether a text does not parse because it names what its kind may not touch.
pub(in crate::script) fn is_effect(error: &ParseErrorType, kind: Kind) -> bool {
    matches!(error, ParseErrorType::ModuleUndefined(name) if purity_hint(name, kind).is_some())
}
