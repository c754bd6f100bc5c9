//! Functions of the language whose result may be far larger than what they are given. Rhai looks at
//! a result when it is there; one step of these could take all memory of the machine before that, so
//! ours stand before them and look first.

use rhai::plugin::{Dynamic, EvalAltResult, ImmutableString, NativeCallContext, export_module};
use rhai::{Array, Engine, Position, exported_module};

use super::engine::SharedModule;
use super::value::to_dynamic;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn module() -> SharedModule {
    exported_module!(functions).into()
}

#[export_module]
#[expect(
    clippy::unwrap_used,
    reason = "written by the macro, for `&mut` arguments"
)]
mod functions {
    /// The words of a text: what stands between white space.
    /// Example: `"a b".split()`
    #[rhai_fn(name = "split", return_raw)]
    pub fn words(call: NativeCallContext, text: &str) -> Fallible<Array> {
        super::texts(&call, text.split_whitespace())
    }

    /// What stands between the delimiters of a text.
    /// Example: `"a,b".split(",")`
    #[rhai_fn(name = "split", return_raw)]
    pub fn split(call: NativeCallContext, text: &str, delimiter: &str) -> Fallible<Array> {
        super::texts(&call, text.split(delimiter))
    }

    /// The same with a character between them.
    #[rhai_fn(name = "split", return_raw)]
    pub fn split_at_char(call: NativeCallContext, text: &str, delimiter: char) -> Fallible<Array> {
        super::texts(&call, text.split(delimiter))
    }

    /// The same with as many pieces at most.
    #[rhai_fn(name = "split", return_raw)]
    pub fn split_into(
        call: NativeCallContext,
        text: &str,
        delimiter: &str,
        most: i64,
    ) -> Fallible<Array> {
        super::texts(&call, text.splitn(super::count(most), delimiter))
    }

    /// The same with as many pieces at most and a character between them.
    #[rhai_fn(name = "split", return_raw)]
    pub fn split_at_char_into(
        call: NativeCallContext,
        text: &str,
        delimiter: char,
        most: i64,
    ) -> Fallible<Array> {
        super::texts(&call, text.splitn(super::count(most), delimiter))
    }

    /// What stands between the delimiters of a text, the last first.
    /// Example: `"a,b".split_rev(",")`
    #[rhai_fn(name = "split_rev", return_raw)]
    pub fn rsplit(call: NativeCallContext, text: &str, delimiter: &str) -> Fallible<Array> {
        super::texts(&call, text.rsplit(delimiter))
    }

    /// The same with a character between them.
    #[rhai_fn(name = "split_rev", return_raw)]
    pub fn rsplit_at_char(call: NativeCallContext, text: &str, delimiter: char) -> Fallible<Array> {
        super::texts(&call, text.rsplit(delimiter))
    }

    /// The same with as many pieces at most.
    #[rhai_fn(name = "split_rev", return_raw)]
    pub fn rsplit_into(
        call: NativeCallContext,
        text: &str,
        delimiter: &str,
        most: i64,
    ) -> Fallible<Array> {
        super::texts(&call, text.rsplitn(super::count(most), delimiter))
    }

    /// The same with as many pieces at most and a character between them.
    #[rhai_fn(name = "split_rev", return_raw)]
    pub fn rsplit_at_char_into(
        call: NativeCallContext,
        text: &str,
        delimiter: char,
        most: i64,
    ) -> Fallible<Array> {
        super::texts(&call, text.rsplitn(super::count(most), delimiter))
    }

    /// Reads a value from JSON.
    /// Throws a text for what is no JSON.
    /// Example: `parse_json("{\"a\": 1}").a`
    #[rhai_fn(return_raw)]
    pub fn parse_json(call: NativeCallContext, text: &str) -> Fallible<Dynamic> {
        super::parse_json(call.engine(), text)
    }

    /// The characters of a text.
    /// Example: `"ab".to_chars()`
    #[rhai_fn(return_raw)]
    pub fn to_chars(call: NativeCallContext, text: &str) -> Fallible<Array> {
        super::bounded(&call, text.chars().map(Dynamic::from))
    }

    /// Puts a text in the place of another, wherever that stands.
    /// Example: `text.replace("fox", "hare")`
    #[rhai_fn(name = "replace", return_raw)]
    pub fn replace(
        call: NativeCallContext,
        text: &mut ImmutableString,
        find: &str,
        put: &str,
    ) -> Fallible<()> {
        super::replace(call.engine(), text, find, put)
    }

    /// The same for a character.
    #[rhai_fn(name = "replace", return_raw)]
    pub fn replace_char(
        call: NativeCallContext,
        text: &mut ImmutableString,
        find: char,
        put: &str,
    ) -> Fallible<()> {
        super::replace(call.engine(), text, find.encode_utf8(&mut [0; 4]), put)
    }
}

/// A number of pieces; there is always one.
fn count(most: i64) -> usize {
    usize::try_from(most.max(1)).unwrap_or(usize::MAX)
}

fn texts<'t>(call: &NativeCallContext, pieces: impl Iterator<Item = &'t str>) -> Fallible<Array> {
    bounded(
        call,
        pieces.map(|piece| Dynamic::from(ImmutableString::from(piece))),
    )
}

fn bounded(call: &NativeCallContext, items: impl Iterator<Item = Dynamic>) -> Fallible<Array> {
    let most = call.engine().max_array_size();
    let array: Array = items.take(most.saturating_add(1)).collect();
    if array.len() > most {
        return Err(too_large("Size of array/BLOB"));
    }
    Ok(array)
}

/// There are no more values in a text than it has brackets and commas.
fn parse_json(engine: &Engine, text: &str) -> Fallible<Dynamic> {
    let values = text.bytes().filter(|byte| b"{[,".contains(byte)).count();
    if values > engine.max_array_size() {
        return Err(too_large("Size of array/BLOB"));
    }
    let value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(to_dynamic(value))
}

fn replace(engine: &Engine, text: &mut ImmutableString, find: &str, put: &str) -> Fallible<()> {
    // As the language has it, there is nothing in an empty text.
    if text.is_empty() {
        return Ok(());
    }
    let found = text.matches(find).count();
    let size = found
        .saturating_mul(put.len())
        .saturating_add(text.len() - found * find.len());
    if size > engine.max_string_size() {
        return Err(too_large("Length of string"));
    }
    *text = text.replace(find, put).into();
    Ok(())
}

/// In the words of Rhai's own check.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's functions return boxed errors"
)]
fn too_large(what: &str) -> Box<EvalAltResult> {
    EvalAltResult::ErrorDataTooLarge(what.to_owned(), Position::NONE).into()
}

#[cfg(test)]
mod tests {
    use super::super::{Limit, Limits, engine};
    use rhai::{Dynamic, EvalAltResult};

    fn engine() -> rhai::Engine {
        let limits = Limits::default().with(Limit::ArraySize, 1000);
        engine::bare(&limits.with(Limit::StringSize, 1))
    }

    #[test]
    fn what_grows_too_large_is_refused_before_it_is_there() {
        let long = "let s = \"a\"; s.pad(500000, \"a \");";
        for text in [
            "s.split()",
            "s.split(\"a\")",
            "s.split('a')",
            "s.split(\"a\", 400000)",
            "s.split('a', 400000)",
            "s.split_rev(\"a\")",
            "s.split_rev('a')",
            "s.split_rev(\"a\", 400000)",
            "s.split_rev('a', 400000)",
            "s.to_chars()",
            "let t = \"[\"; t.pad(5000, \"0,\"); t += \"0]\"; parse_json(t)",
            "s.replace(\"a\", \"0123456789\")",
            "s.replace('a', \"0123456789\")",
            "s.replace(\"\", s)",
        ] {
            let error = engine().run(&format!("{long} {text}")).unwrap_err();
            let is_refused = matches!(*error, EvalAltResult::ErrorDataTooLarge(..));
            assert!(is_refused, "{text}: {error}");
        }
    }

    #[test]
    fn the_language_means_the_same_by_them() {
        let ours = engine();
        let theirs = rhai::Engine::new();
        for text in [
            "\" a  b \".split()",
            "\"a,b,,c\".split(\",\")",
            "\"a,b,,c\".split(',')",
            "\"a,b,c\".split(\",\", 2)",
            "\"a,b,c\".split(',', 2)",
            "\"a,b,c\".split(\",\", -1)",
            "\"a,b,,c\".split_rev(\",\")",
            "\"a,b,,c\".split_rev(',')",
            "\"a,b,c\".split_rev(\",\", 2)",
            "\"a,b,c\".split_rev(',', 2)",
            "parse_json(\"{\\\"a\\\": [1, 2.5, null, true, \\\"x\\\"]}\")",
            "\"äb\".to_chars()",
            "\"abc\".split(1)",
            "let s = \"abab\"; s.replace(\"ab\", \"c\"); s",
            "let s = \"abab\"; s.replace('a', \"xy\"); s",
            "let s = \"abab\"; s.replace(\"\", \"-\"); s",
            "let s = \"\"; s.replace(\"\", \"-\"); s",
        ] {
            let [ours, theirs] = [&ours, &theirs].map(|it| it.eval::<Dynamic>(text).unwrap());
            assert_eq!(ours.to_string(), theirs.to_string(), "{text}");
        }
    }
}
