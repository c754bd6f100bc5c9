//! A file as aiohttp's `FileResponse` hands it out: whole or in part, or only the news that it is
//! still the same. Followed: aiohttp 3.14.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// How much of a file is in memory at a time.
const BLOCK: u64 = 256 << 10;

/// The file's answer, without what depends on its name.
pub(super) async fn file(path: &Path, headers: &HeaderMap) -> io::Result<Response> {
    let file = File::open(path).await?;
    let state = State::of(&file.metadata().await?)?;
    let mut answer = match state.condition(headers) {
        Some(StatusCode::NOT_MODIFIED) => StatusCode::NOT_MODIFIED.into_response(),
        Some(status) => return Ok(status.into_response()),
        None => match state.range(headers) {
            None => body(file, 0, state.size).await?,
            Some(Ok((first, count))) => {
                let mut answer = body(file, first, count).await?;
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {first}-{}/{}", first + count - 1, state.size);
                set(&mut answer, header::CONTENT_RANGE, &range);
                answer
            }
            Some(Err(())) => {
                let mut answer = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                let range = format!("bytes */{}", state.size);
                set(&mut answer, header::CONTENT_RANGE, &range);
                return Ok(answer);
            }
        },
    };
    set(&mut answer, header::ETAG, &format!("\"{}\"", state.etag));
    let modified = Timestamp::from_second(state.modified).unwrap_or(Timestamp::UNIX_EPOCH);
    if let Ok(modified) = DateTimePrinter::new().timestamp_to_rfc9110_string(&modified) {
        set(&mut answer, header::LAST_MODIFIED, &modified);
    }
    Ok(answer)
}

/// Sets a header, unless the value can't stand in one.
pub(super) fn set(answer: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        answer.headers_mut().insert(name, value);
    }
}

async fn body(mut file: File, first: u64, count: u64) -> io::Result<Response> {
    file.seek(SeekFrom::Start(first)).await?;
    let blocks = stream::try_unfold((file, count), async |(mut file, left)| {
        let mut block = vec![0; usize::try_from(left.min(BLOCK)).unwrap_or(0)];
        let read = file.read(&mut block).await?;
        block.truncate(read);
        let left = left.saturating_sub(read as u64);
        io::Result::Ok((read > 0).then(|| (Bytes::from(block), (file, left))))
    });
    let mut answer = Body::from_stream(blocks).into_response();
    set(&mut answer, header::CONTENT_LENGTH, &count.to_string());
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    Ok(answer)
}

/// What tells one state of a file from another.
struct State {
    size: u64,
    /// The first full second in which it was as it is.
    modified: i64,
    etag: String,
}

impl State {
    fn of(metadata: &std::fs::Metadata) -> io::Result<Self> {
        let age = metadata.modified()?.duration_since(UNIX_EPOCH);
        let age = age.unwrap_or_default();
        let seconds = age.as_secs() + u64::from(age.subsec_nanos() > 0);
        Ok(Self {
            size: metadata.len(),
            modified: i64::try_from(seconds).unwrap_or(i64::MAX),
            etag: format!("{:x}-{:x}", age.as_nanos(), metadata.len()),
        })
    }

    /// The status with which a condition ends the matter.
    fn condition(&self, headers: &HeaderMap) -> Option<StatusCode> {
        let matched = text(headers, &header::IF_MATCH).map(|tags| self.is_among(tags, false));
        let unmodified = || self.is_since(headers, &header::IF_UNMODIFIED_SINCE);
        if !matched.or_else(unmodified).unwrap_or(true) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        let same = text(headers, &header::IF_NONE_MATCH).map(|tags| self.is_among(tags, true));
        let unmodified = || self.is_since(headers, &header::IF_MODIFIED_SINCE);
        same.or_else(unmodified)
            .unwrap_or(false)
            .then_some(StatusCode::NOT_MODIFIED)
    }

    /// Whether the file's tag is in a list of tags.
    fn is_among(&self, tags: &str, weak: bool) -> bool {
        tags.split(',').map(str::trim).any(|tag| {
            let strong = tag.strip_prefix("W/");
            let tag = if weak { strong.unwrap_or(tag) } else { tag };
            tag == "*" || tag.trim_matches('"') == self.etag
        })
    }

    /// Whether the file was as it is at a header's time, if it has one that can be read.
    fn is_since(&self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        let time = DateTimeParser::new()
            .parse_timestamp(text(headers, name)?)
            .ok()?;
        Some(self.modified <= time.as_second())
    }

    /// The part that is asked for, as its start and its length; an error for one that the file
    /// does not have, or that makes no sense.
    fn range(&self, headers: &HeaderMap) -> Option<Result<(u64, u64), ()>> {
        let range = text(headers, &header::RANGE)?;
        // A tag in If-Range is not looked at, only a time.
        if self.is_since(headers, &header::IF_RANGE) == Some(false) {
            return None;
        }
        Some(part(range, self.size).ok_or(()))
    }
}

/// Start and length of `bytes=A-B`, `bytes=A-` or `bytes=-N`. The last 0 bytes are the whole file,
/// as they are in Python's slices.
fn part(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => (first, size),
        (Err(_), Ok(0)) if first.is_empty() => (0, size),
        (Err(_), Ok(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return None,
    };
    let end = end.min(size);
    (first < end).then(|| (first, end - first))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// As a real server answered for a file of ten bytes.
    #[rstest]
    #[case("bytes=0-3", Some((0, 4)))]
    #[case("bytes=4-", Some((4, 6)))]
    #[case("bytes=-3", Some((7, 3)))]
    #[case("bytes=-0", Some((0, 10)))]
    #[case("bytes=-99", Some((0, 10)))]
    #[case("bytes=8-99", Some((8, 2)))]
    #[case("bytes=10-", None)]
    #[case("bytes=3-1", None)]
    #[case("bytes=0-1,3-4", None)]
    #[case("bytes=-", None)]
    #[case("lines=1-2", None)]
    fn ranges_are_read_as_aiohttp_reads_them(
        #[case] range: &str,
        #[case] expected: Option<(u64, u64)>,
    ) {
        assert_eq!(part(range, 10), expected);
    }
}
