//! Several sorted sources as one, in which the newer hides the older.

use super::index::Broken;
use super::segment::Entry;

pub(super) type Source<'a> = Box<dyn Iterator<Item = Result<Entry, Broken>> + Send + 'a>;

/// A walk along several sources at once, the newest first among them. Each is sorted, all in the
/// same direction.
pub(super) struct Merged<'a> {
    sources: Vec<Head<'a>>,
    backwards: bool,
}

struct Head<'a> {
    next: Option<Entry>,
    rest: Source<'a>,
}

impl<'a> Merged<'a> {
    pub(super) fn new(sources: Vec<Source<'a>>, backwards: bool) -> Result<Self, Broken> {
        let head = |mut rest: Source<'a>| {
            let next = rest.next().transpose()?;
            Ok::<_, Broken>(Head { next, rest })
        };
        Ok(Self {
            sources: sources.into_iter().map(head).collect::<Result<_, _>>()?,
            backwards,
        })
    }

    fn advance(&mut self) -> Result<Option<Entry>, Broken> {
        let keys = self
            .sources
            .iter()
            .filter_map(|source| source.next.as_ref().map(|(key, _)| key));
        let nearest = if self.backwards {
            keys.max()
        } else {
            keys.min()
        };
        let Some(nearest) = nearest.cloned() else {
            return Ok(None);
        };
        let mut newest = None;
        for source in &mut self.sources {
            if source.next.as_ref().is_some_and(|(key, _)| *key == nearest) {
                let entry = source.next.take();
                source.next = source.rest.next().transpose()?;
                newest = newest.or(entry);
            }
        }
        Ok(newest)
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Entry, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_source_has_the_say_in_both_directions() {
        let entry = |key: &str, value: Option<&str>| {
            (
                key.as_bytes().to_vec(),
                value.map(|value| value.as_bytes().to_vec()),
            )
        };
        let newest = vec![entry("b", None), entry("c", Some("new"))];
        let older = vec![
            entry("a", Some("old")),
            entry("b", Some("old")),
            entry("c", None),
        ];
        for backwards in [false, true] {
            let source = |entries: &[Entry]| -> Source<'static> {
                let mut entries = entries.to_vec();
                if backwards {
                    entries.reverse();
                }
                Box::new(entries.into_iter().map(Ok))
            };
            let sources = vec![source(&newest), source(&older)];
            let merged = Merged::new(sources, backwards).unwrap();
            let mut merged: Vec<Entry> = merged.map(Result::unwrap).collect();
            if backwards {
                merged.reverse();
            }
            let expected = [
                entry("a", Some("old")),
                entry("b", None),
                entry("c", Some("new")),
            ];
            assert_eq!(merged, expected);
        }
    }
}
