//! The order of all changes: a file of JSON lines that is only ever appended to.
//!
//! Its first line names the journal. A reader takes whole lines only, so a line being written is
//! simply not there yet; the next writer ends a line that a crash cut short, and readers pass over
//! what isn't JSON. Before it gets long it's folded into a segment, and a new journal begins that
//! names the segments; the last line of the old file tells those who have it open.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::index::Position;
use super::{Row, StoreError, files};

/// One line after the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// The record is new or different.
    Put { id: String, row: Row },
    /// The record is gone.
    Drop { id: String },
    /// A new journal takes this one's place.
    Moved,
}

/// How the first line and the segments are made; what is of another layout is made anew.
const LAYOUT: u32 = 2;

/// The first line is no longer than this, with a few dozen segments.
const LONGEST_HEADER: u64 = 64 << 10;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    journal: String,
    schema: u32,
    #[serde(default)]
    layout: u32,
    /// What was said before, the newest first.
    #[serde(default)]
    segments: Vec<String>,
}

/// What opening a journal found.
pub(super) enum Found {
    Journal(Journal),
    /// No journal, one of an older schema or another layout, or one whose first line is damaged.
    None,
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    /// For reading, by one thread at a time.
    file: File,
    /// For appending, by the holder of the write lock; the two have file cursors of their own.
    out: File,
    id: String,
    segments: Vec<String>,
    start: u64,
}

/// Some lines, and the offset behind them.
pub(super) struct Chunk {
    pub(super) changes: Vec<Change>,
    pub(super) end: u64,
    /// The file ends with the news that a new journal takes its place; `end` stands before it.
    pub(super) moved: bool,
}

impl Journal {
    pub(super) fn open(path: &Path, schema: u32) -> Result<Found, StoreError> {
        let out = match File::options().read(true).append(true).open(path) {
            Ok(out) => out,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::None),
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let mut line = String::new();
        let read = BufReader::new(&file)
            .take(LONGEST_HEADER)
            .read_line(&mut line);
        let header = read
            .ok()
            .and_then(|_| serde_json::from_str::<Header>(&line).ok());
        let Some(header) = header.filter(|_| line.ends_with('\n')) else {
            tracing::warn!(path = %path.display(), "the journal's first line is damaged");
            return Ok(Found::None);
        };
        if header.schema > schema {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                found: header.schema,
                known: schema,
            });
        }
        if header.schema < schema || header.layout != LAYOUT {
            return Ok(Found::None);
        }
        Ok(Found::Journal(Self {
            file,
            out,
            id: header.journal,
            segments: header.segments,
            start: line.len() as u64,
        }))
    }

    /// Writes a new journal called `id`, which goes on where these segments end, in place of
    /// whatever is there.
    pub(super) fn create(
        path: &Path,
        temp: &Path,
        schema: u32,
        id: &str,
        segments: &[String],
    ) -> Result<(), StoreError> {
        let header = Header {
            journal: id.to_owned(),
            schema,
            layout: LAYOUT,
            segments: segments.to_vec(),
        };
        files::write_atomic(temp, path, &line(&header, path)?)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The segments that it goes on from, the newest first.
    pub(super) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// Where an index that stands at `known` goes on in this journal; `None` if it must forget
    /// everything and read from [`Journal::beginning`].
    pub(super) fn resume(&self, known: &Position) -> Option<u64> {
        // A journal shorter than what was read of it isn't the one it says it is.
        let fits = known.journal == self.id
            && known.offset >= self.start
            && self.len().is_ok_and(|len| known.offset <= len);
        fits.then_some(known.offset)
    }

    pub(super) fn beginning(&self) -> Position {
        Position {
            journal: self.id.clone(),
            offset: self.start,
        }
    }

    pub(super) fn len(&self) -> std::io::Result<u64> {
        self.file.metadata().map(|facts| facts.len())
    }

    /// The whole lines from `offset` on, until there are `limit` bytes.
    pub(super) fn read(&self, offset: u64, limit: u64) -> std::io::Result<Chunk> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        let mut reader = BufReader::new(file);
        let mut chunk = Chunk {
            changes: Vec::new(),
            end: offset,
            moved: false,
        };
        let mut bytes = Vec::new();
        while chunk.end - offset < limit {
            bytes.clear();
            let read = reader.read_until(b'\n', &mut bytes)?;
            if bytes.last() != Some(&b'\n') {
                break;
            }
            match serde_json::from_slice(&bytes) {
                Ok(Change::Moved) if reader.fill_buf()?.is_empty() => {
                    chunk.moved = true;
                    break;
                }
                // Lines after the news: whoever brought it died before the new journal was there.
                Ok(Change::Moved) => {}
                Ok(change) => chunk.changes.push(change),
                Err(error) => {
                    tracing::warn!(%error, offset = chunk.end, "passed over a damaged journal line");
                }
            }
            chunk.end += read as u64;
        }
        Ok(chunk)
    }

    /// Appends all lines by one write and makes them durable. The caller holds the write lock.
    pub(super) fn append(&self, changes: &[Change], path: &Path) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        if !self.ends_whole().map_err(StoreError::io("read", path))? {
            bytes.push(b'\n');
        }
        for change in changes {
            bytes.extend_from_slice(&line(change, path)?);
        }
        let written = (&self.out)
            .write_all(&bytes)
            .and_then(|()| self.out.sync_data());
        written.map_err(StoreError::io("write", path))
    }

    fn ends_whole(&self) -> std::io::Result<bool> {
        let mut out = &self.out;
        out.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        out.read_exact(&mut last)?;
        Ok(last[0] == b'\n')
    }
}

fn line(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes =
        serde_json::to_vec(value).map_err(|error| StoreError::io("write", path)(error.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
