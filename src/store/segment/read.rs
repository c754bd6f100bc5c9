//! Reading a segment, by any number of threads and processes at once.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::block::{damaged, decompress, get_len, get_number, take, unpack};
use super::{END_LEN, Entry, MAGIC};

/// An open segment.
#[derive(Debug)]
pub(in crate::store) struct Segment {
    name: String,
    file: File,
    len: u64,
    blocks: Vec<Block>,
    last: Vec<u8>,
    /// The block read last: whoever looks for one key as a rule looks for its neighbours, too.
    recent: Mutex<Option<(usize, Arc<Vec<Entry>>)>>,
}

#[derive(Debug)]
struct Block {
    first: Vec<u8>,
    offset: u64,
    len: usize,
}

impl Segment {
    /// Opens the segment called `name` in `folder`.
    pub(in crate::store) fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let file = File::open(folder.join(name))?;
        let len = file.metadata()?.len();
        let end_at = len.checked_sub(END_LEN as u64).ok_or_else(damaged)?;
        let end = read_at(&file, end_at, END_LEN)?;
        let mut rest = end.as_slice();
        let (offset, length) = (get_u64(&mut rest)?, get_u64(&mut rest)?);
        if rest != MAGIC || offset.checked_add(length) != Some(end_at) {
            return Err(damaged());
        }
        let length = usize::try_from(length).map_err(|_| damaged())?;
        let (blocks, last) = read_directory(&decompress(&read_at(&file, offset, length)?)?)?;
        Ok(Self {
            name: name.to_owned(),
            file,
            len,
            blocks,
            last,
            recent: Mutex::default(),
        })
    }

    pub(in crate::store) fn name(&self) -> &str {
        &self.name
    }

    /// The size of the file in bytes.
    pub(in crate::store) fn len(&self) -> u64 {
        self.len
    }

    /// The entry of this key, if there is one.
    pub(in crate::store) fn get(&self, key: &[u8]) -> io::Result<Option<Entry>> {
        if key > self.last.as_slice() {
            return Ok(None);
        }
        let Some(at) = self.block_of(key) else {
            return Ok(None);
        };
        let entries = self.block(at)?;
        let found = entries.binary_search_by(|(known, _)| known.as_slice().cmp(key));
        Ok(found.ok().map(|found| entries[found].clone()))
    }

    /// The entries with keys in `range`, from the smallest to the greatest or the reverse.
    pub(in crate::store) fn scan(self: &Arc<Self>, range: Range<Vec<u8>>, backwards: bool) -> Scan {
        let first = self.block_of(&range.start).unwrap_or(0);
        // Blocks that begin before the end.
        let end = self.blocks.partition_point(|block| block.first < range.end);
        Scan {
            segment: self.clone(),
            blocks: first..end.max(first),
            range,
            backwards,
            entries: Vec::new().into_iter(),
        }
    }

    /// The only block in which the key can be.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.blocks
            .partition_point(|block| block.first.as_slice() <= key)
            .checked_sub(1)
    }

    fn block(&self, at: usize) -> io::Result<Arc<Vec<Entry>>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, entries)) = &*recent()
            && *known == at
        {
            return Ok(entries.clone());
        }
        let entries = Arc::new(self.read(at)?);
        *recent() = Some((at, entries.clone()));
        Ok(entries)
    }

    fn read(&self, at: usize) -> io::Result<Vec<Entry>> {
        let block = self.blocks.get(at).ok_or_else(damaged)?;
        unpack(&read_at(&self.file, block.offset, block.len)?)
    }
}

/// A walk along a segment.
pub(in crate::store) struct Scan {
    segment: Arc<Segment>,
    blocks: Range<usize>,
    range: Range<Vec<u8>>,
    backwards: bool,
    entries: std::vec::IntoIter<Entry>,
}

impl Iterator for Scan {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = if self.backwards {
                self.entries.next_back()
            } else {
                self.entries.next()
            };
            if let Some(entry) = next {
                return Some(Ok(entry));
            }
            let at = if self.backwards {
                self.blocks.next_back()
            } else {
                self.blocks.next()
            }?;
            match self.segment.read(at) {
                Ok(mut entries) => {
                    entries.retain(|(key, _)| self.range.contains(key));
                    self.entries = entries.into_iter();
                }
                Err(error) => {
                    self.blocks = 0..0;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn read_directory(bytes: &[u8]) -> io::Result<(Vec<Block>, Vec<u8>)> {
    let mut rest = bytes;
    let count = get_len(&mut rest)?;
    // Every block takes some bytes here: a count beyond that is damaged.
    let mut blocks = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        let len = get_len(&mut rest)?;
        blocks.push(Block {
            first: take(&mut rest, len)?.to_vec(),
            offset: get_number(&mut rest)?,
            len: get_len(&mut rest)?,
        });
    }
    let len = get_len(&mut rest)?;
    let last = take(&mut rest, len)?.to_vec();
    Ok((blocks, last))
}

fn get_u64(rest: &mut &[u8]) -> io::Result<u64> {
    let bytes = take(rest, 8)?;
    bytes
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| damaged())
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;

    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(windows)]
fn read_at(file: &File, mut offset: u64, len: usize) -> io::Result<Vec<u8>> {
    use std::os::windows::fs::FileExt as _;

    let mut bytes = vec![0; len];
    let mut rest = bytes.as_mut_slice();
    while !rest.is_empty() {
        match file.seek_read(rest, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                rest = &mut rest[read..];
                offset += read as u64;
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::SegmentWriter;
    use super::*;

    type Entries = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    fn written(entries: &Entries) -> (tempfile::TempDir, Arc<Segment>) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::create(dir.path()).unwrap();
        for (key, value) in entries {
            writer.push(key, value.as_deref()).unwrap();
        }
        writer.finish(&dir.path().join("a")).unwrap();
        let segment = Arc::new(Segment::open(dir.path(), "a").unwrap());
        (dir, segment)
    }

    fn scanned(segment: &Arc<Segment>, range: Range<Vec<u8>>, backwards: bool) -> Vec<Entry> {
        let scan = segment.scan(range, backwards);
        scan.collect::<io::Result<_>>().unwrap()
    }

    fn entries() -> impl Strategy<Value = Entries> {
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..2000));
        prop::collection::btree_map(prop::collection::vec(0_u8..4, 0..6), value, 0..60)
    }

    proptest! {
        #[test]
        fn what_was_written_is_found_and_walked_along_in_both_directions(
            entries in entries(),
            asked in prop::collection::vec(0_u8..4, 0..6),
            end in prop::collection::vec(0_u8..5, 0..6),
        ) {
            let (_dir, segment) = written(&entries);
            let expected = entries.get(&asked).map(|value| (asked.clone(), value.clone()));
            prop_assert_eq!(segment.get(&asked).unwrap(), expected);
            let range = asked..end;
            let mut expected: Vec<Entry> = entries
                .into_iter()
                .filter(|(key, _)| range.contains(key))
                .collect();
            prop_assert_eq!(&scanned(&segment, range.clone(), false), &expected);
            expected.reverse();
            prop_assert_eq!(scanned(&segment, range, true), expected);
        }
    }

    #[test]
    fn a_damaged_file_is_told_from_a_whole_one() {
        let entries = (0..100_u8).map(|n| (vec![n], Some(vec![n; 999]))).collect();
        let (dir, _) = written(&entries);
        let path = dir.path().join("a");
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 5, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(Segment::open(dir.path(), "a").is_err(), "{cut}");
        }
        let mut flipped = whole;
        flipped[40] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let segment = Arc::new(Segment::open(dir.path(), "a").unwrap());
        let all = vec![]..vec![255];
        assert!(segment.scan(all, false).any(|entry| entry.is_err()));
    }
}
