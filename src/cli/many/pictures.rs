//! A folder as the rows of a batch: a row for each picture in it, or for each clip or sound.

use std::path::{Path, PathBuf};

use serde_json::Map;

use super::rows::Row;
use super::subject::Subject;
use crate::assets::mime_of_name;
use crate::cli::report;
use crate::failure::{Code, Failure};
use crate::script::{Param, Type};

/// The rows in the order of the names. Folders below and hidden files don't count.
pub(super) fn rows(
    folder: &Path,
    param: Option<&str>,
    subject: &Subject,
) -> Result<Vec<Row>, Failure> {
    let param = taking(param, subject)?;
    let kind = kind(param.ty);
    let mut files = files(folder)?;
    files.sort();
    let all = files.len();
    files.retain(|file| mime_of_name(&name(file)).starts_with(kind));
    if files.is_empty() {
        let message = format!("{} has no {kind} files", folder.display());
        return Err(Failure::new(Code::NOT_FOUND, message).hint(format!(
            "{} takes {}; give a folder that has some",
            param.name,
            param.ty.description()
        )));
    }
    if files.len() < all {
        let others = all - files.len();
        report::note(format_args!(
            "note: {others} files that are no {kind} files are left out"
        ));
    }
    Ok(files.iter().map(|file| row(file, param)).collect())
}

fn row(file: &Path, param: &Param) -> Row {
    // An absolute path is a file and no name in the server's input folder, whatever it is called.
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let stem = file.file_stem().unwrap_or_default();
    Row {
        label: name(file),
        line: None,
        stem: stem.to_string_lossy().into_owned(),
        values: Ok(Map::from_iter([(
            param.name.clone(),
            path.to_string_lossy().into_owned().into(),
        )])),
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = format!("{} can't be read: {error}", folder.display());
        Failure::new(Code::NOT_FOUND, message)
    };
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && !name(&path).starts_with('.') {
            files.push(path);
        }
    }
    Ok(files)
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The parameter that takes the files: the one that was named, or the only one there is. A template
/// that takes several pictures needs the first of them most often, which is required.
fn taking<'s>(wanted: Option<&str>, subject: &'s Subject) -> Result<&'s Param, Failure> {
    let params = subject.declaration.params.iter();
    let all: Vec<&Param> = params.filter(|param| param.ty.is_media()).collect();
    let names = all.iter().map(|param| param.name.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        let found = all.into_iter().find(|param| param.name == wanted);
        return found.ok_or_else(|| {
            let message = format!("{} has no parameter \"{wanted}\" for files", subject.name);
            invalid(message).hint(if names.is_empty() {
                subject.names()
            } else {
                format!("it takes files as {names}")
            })
        });
    }
    let required: Vec<&Param> = all.iter().copied().filter(|it| it.required).collect();
    match (&*required, &*all) {
        ([param], _) | (_, [param]) => Ok(param),
        (_, []) => {
            let message = format!("{} takes no pictures, clips or sounds", subject.name);
            Err(invalid(message).hint("a table or JSON Lines say what each run is to take"))
        }
        _ => {
            let message = format!("{} takes files as {names}", subject.name);
            Err(invalid(message)
                .hint("say which one the folder is for, such as --param IMAGE_PATH"))
        }
    }
}

/// The beginning of the types of files that a parameter takes.
fn kind(ty: Type) -> &'static str {
    match ty {
        Type::Video => "video",
        Type::Audio => "audio",
        _ => "image",
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(Code::INVALID_PARAMS, message)
}
