//! Entries as bytes: keys in order share their beginnings.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::Entry;

/// Entries on their way into a block.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    last: Vec<u8>,
}

impl Packer {
    /// Adds an entry, whose key is greater than all before.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let shared = self
            .last
            .iter()
            .zip(key)
            .take_while(|(one, other)| one == other)
            .count();
        put_number(&mut self.bytes, shared as u64);
        put_number(&mut self.bytes, (key.len() - shared) as u64);
        put_number(
            &mut self.bytes,
            value.map_or(0, |value| value.len() as u64 + 1),
        );
        self.bytes.extend_from_slice(&key[shared..]);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.last.clear();
        self.last.extend_from_slice(key);
    }

    /// How many bytes there are, before they are compressed.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The last key.
    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// The compressed block; the packer is empty afterwards.
    pub(super) fn take(&mut self) -> io::Result<Vec<u8>> {
        let packed = compress(&self.bytes)?;
        self.bytes.clear();
        self.last.clear();
        Ok(packed)
    }
}

/// The entries of a compressed block.
pub(super) fn unpack(packed: &[u8]) -> io::Result<Vec<Entry>> {
    let bytes = decompress(packed)?;
    let mut rest = bytes.as_slice();
    let mut entries: Vec<Entry> = Vec::new();
    while !rest.is_empty() {
        let shared = get_len(&mut rest)?;
        let unshared = get_len(&mut rest)?;
        let value = get_len(&mut rest)?;
        // Nothing is allocated by what damaged bytes say, only by what is there.
        let before = entries.last().map_or(&[][..], |(key, _)| key);
        let before = before.get(..shared).ok_or_else(damaged)?;
        let key = [before, take(&mut rest, unshared)?].concat();
        let value = match value.checked_sub(1) {
            Some(len) => Some(take(&mut rest, len)?.to_vec()),
            None => None,
        };
        entries.push((key, value));
    }
    Ok(entries)
}

/// Speed counts more than the last few per cent.
pub(super) fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// The reverse; zlib's checksum tells damaged bytes.
pub(super) fn decompress(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // These bytes are in memory: no disk is to blame.
    let unpacked = ZlibDecoder::new(packed).read_to_end(&mut bytes);
    unpacked.map_err(|_| damaged())?;
    Ok(bytes)
}

/// Seven bits a byte, the low ones first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

pub(super) fn get_number(rest: &mut &[u8]) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(damaged())
}

pub(super) fn get_len(rest: &mut &[u8]) -> io::Result<usize> {
    usize::try_from(get_number(rest)?).map_err(|_| damaged())
}

/// The next `len` bytes.
pub(super) fn take<'a>(rest: &mut &'a [u8], len: usize) -> io::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len).ok_or_else(damaged)?;
    *rest = left;
    Ok(taken)
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the bytes make no sense")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_comes_back_as_it_was(number: u64) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            prop_assert_eq!(get_number(&mut bytes.as_slice()).unwrap(), number);
        }

        #[test]
        fn damaged_bytes_are_refused_and_make_nothing_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(unpack(&bytes).is_err());
            if let Ok(packed) = compress(&bytes) {
                let _ = unpack(&packed);
            }
        }
    }
}
