//! The rows of a batch: of a table, of JSON Lines, or a row for each picture of a folder.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::pictures;
use super::subject::Subject;
use crate::failure::{Code, Failure};

/// The name that stands for stdin.
const STDIN: &str = "-";

/// One row, before its values are held against what they have to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// What people call it: `row 3`, or the name of a picture.
    pub(super) label: String,
    /// The line of the file on which it begins, from 1.
    pub(super) line: Option<u64>,
    /// What its outputs are called in a folder, without an ending.
    pub(super) stem: String,
    /// Its values, or why it has none.
    pub(super) values: Result<Map<String, Value>, String>,
}

/// Reads what `--from` names. What is wrong with single rows stands in their places.
pub(super) fn read(
    from: &str,
    param: Option<&str>,
    subject: &Subject,
) -> Result<Vec<Row>, Failure> {
    let path = Path::new(from);
    let rows = if from != STDIN && path.is_dir() {
        pictures::rows(path, param, subject)?
    } else if let Some(param) = param {
        let message = format!("--param {param} goes with a folder, and {from} is none");
        return Err(invalid(message).hint("a table says in its first line which column is which"));
    } else {
        of_text(&text(from)?, from, subject)?
    };
    if rows.is_empty() {
        return Err(invalid(format!("{from} has no rows"))
            .hint("give at least one line below that of the names"));
    }
    Ok(rows)
}

/// The text of a file or of stdin, without a byte order mark.
fn text(from: &str) -> Result<String, Failure> {
    let read = if from == STDIN {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(from)
    };
    let text = read.map_err(|error| {
        Failure::new(Code::NOT_FOUND, format!("{from} can't be read: {error}"))
            .hint("--from takes a table (.csv), JSON Lines (.jsonl), a folder of pictures, or -")
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// A table, unless it begins as JSON does.
fn of_text(text: &str, from: &str, subject: &Subject) -> Result<Vec<Row>, Failure> {
    let mut rows = match text.trim_start().chars().next() {
        Some('{') => lines(text),
        Some('[') => list(text).map_err(|error| invalid(format!("{from}: {error}")))?,
        _ => table(text, from, subject)?,
    };
    let digits = rows.len().to_string().len();
    for (at, row) in rows.iter_mut().enumerate() {
        row.label = format!("row {}", at + 1);
        row.stem = format!("row-{:0digits$}", at + 1);
    }
    Ok(rows)
}

fn row(line: Option<u64>, values: Result<Map<String, Value>, String>) -> Row {
    Row {
        label: String::new(),
        line,
        stem: String::new(),
        values,
    }
}

/// An object a line; empty lines don't count.
fn lines(text: &str) -> Vec<Row> {
    let numbered = (1..).zip(text.lines());
    numbered
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let values = match serde_json::from_str(line) {
                Ok(value) => object(value),
                Err(error) => Err(format!("this is not JSON: {error}")),
            };
            row(Some(number), values)
        })
        .collect()
}

/// A list of objects.
fn list(text: &str) -> Result<Vec<Row>, serde_json::Error> {
    let values: Vec<Value> = serde_json::from_str(text)?;
    Ok(values
        .into_iter()
        .map(|value| row(None, object(value)))
        .collect())
}

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(values) => Ok(values),
        other => Err(format!("a row is an object of values by name, not {other}")),
    }
}

/// A table whose first line has the names. An empty cell says nothing.
fn table(text: &str, from: &str, subject: &Subject) -> Result<Vec<Row>, Failure> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text))
        .flexible(true)
        .trim(csv::Trim::Headers)
        .from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| invalid(format!("{from}: {error}"));
    let names: Vec<String> = {
        let header = reader.headers().map_err(unreadable)?;
        header.iter().map(str::to_owned).collect()
    };
    check_header(&names, from, subject)?;
    let mut rows = vec![];
    let mut at = Place { byte: 0, line: 1 };
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let begins = record.position().map(csv::Position::byte);
        let begins = begins.and_then(|byte| usize::try_from(byte).ok());
        let line = begins.map(|byte| at.moved(text, byte).line);
        rows.push(row(line, cells(&names, &record, subject)));
    }
    Ok(rows)
}

/// A place in a text. The reader's own count stands before the end of the line before, and before empty
/// ones.
struct Place {
    byte: usize,
    line: u64,
}

impl Place {
    /// Goes on to where a row begins.
    fn moved(&mut self, text: &str, byte: usize) -> &Self {
        let bytes = text.as_bytes();
        let rest = bytes.get(byte..).unwrap_or_default();
        let skipped = rest.iter().take_while(|byte| b"\r\n".contains(byte));
        let to = byte + skipped.count();
        let between = bytes.get(self.byte..to).unwrap_or_default();
        self.line += between
            .iter()
            .fold(0, |lines, byte| lines + u64::from(*byte == b'\n'));
        self.byte = to;
        self
    }
}

fn cells(
    names: &[String],
    record: &csv::StringRecord,
    subject: &Subject,
) -> Result<Map<String, Value>, String> {
    if record.len() > names.len() {
        return Err(format!(
            "there are {} cells and {} names in the first line: a text with a comma is put in \
             quotes",
            record.len(),
            names.len()
        ));
    }
    let columns = names.iter().zip(record);
    let given = columns.filter(|(_, cell)| !cell.is_empty());
    Ok(given
        .map(|(name, cell)| (name.clone(), subject.cell(name, cell)))
        .collect())
}

/// A name that is wrong is so in every row: that is told once.
fn check_header(names: &[String], from: &str, subject: &Subject) -> Result<(), Failure> {
    for (at, name) in names.iter().enumerate() {
        let column = at + 1;
        if name.is_empty() {
            return Err(
                invalid(format!("{from}, line 1: column {column} has no name"))
                    .hint("the first line of a table has the names of the parameters"),
            );
        }
        if names[..at].contains(name) {
            return Err(invalid(format!(
                "{from}, line 1: two columns are \"{name}\""
            )));
        }
        if let Some(unknown) = subject.unknown(name) {
            let message = format!("{from}, line 1: {} has {unknown}", subject.name);
            return Err(invalid(message).hint(subject.names()));
        }
    }
    Ok(())
}

/// Spreadsheets write semicolons where the comma is that of decimals, and tabs when told to.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let has = |delimiter: u8| first.bytes().any(|byte| byte == delimiter);
    [b',', b';', b'\t']
        .into_iter()
        .find(|delimiter| has(*delimiter))
        .unwrap_or(b',')
}

fn invalid(message: String) -> Failure {
    Failure::new(Code::INVALID_PARAMS, message)
}
