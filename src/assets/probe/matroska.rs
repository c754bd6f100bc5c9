//! Matroska and `WebM`: elements of an id, a size and contents (RFC 8794, RFC 9559).

use std::io::{self, Read, Seek, SeekFrom};

use super::MediaFacts;
use super::facts::{bytes, real};

const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_A966;
const TIMESTAMP_SCALE: u64 = 0x2A_D7B1;
const DURATION: u64 = 0x4489;
const TRACKS: u64 = 0x1654_AE6B;
const TRACK_ENTRY: u64 = 0xAE;
const DEFAULT_DURATION: u64 = 0x23_E383;
const VIDEO: u64 = 0xE0;
const PIXEL_WIDTH: u64 = 0xB0;
const PIXEL_HEIGHT: u64 = 0xBA;
const CLUSTER: u64 = 0x1F43_B675;

/// Nanoseconds in a unit of time unless the file says otherwise.
const DEFAULT_SCALE: u64 = 1_000_000;

const NANOS: f64 = 1e9;

/// More elements than this aren't looked at.
const MAX_ELEMENTS: u32 = 10_000;

const MAX_DEPTH: u32 = 5;

#[derive(Default)]
struct Walk {
    elements: u32,
    scale: Option<u64>,
    units: Option<f64>,
    /// Nanoseconds per frame of the track being read.
    frame: u64,
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<f64>,
}

pub(super) fn read<R: Read + Seek>(reader: &mut R, facts: &mut MediaFacts) -> io::Result<()> {
    let end = reader.seek(SeekFrom::End(0))?;
    let mut walk = Walk::default();
    let read = walk.elements(reader, 0, end, 0);
    let scale = walk.scale.unwrap_or(DEFAULT_SCALE);
    facts.duration = walk.units.map(|units| units * real(scale) / NANOS);
    facts.width = walk.width;
    facts.height = walk.height;
    facts.fps = walk.fps;
    read.map(|_| ())
}

impl Walk {
    /// Says whether to go on: the frames begin where all that we look for has been.
    fn elements<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        mut at: u64,
        end: u64,
        depth: u32,
    ) -> io::Result<bool> {
        while at < end && self.elements < MAX_ELEMENTS && depth < MAX_DEPTH {
            self.elements += 1;
            reader.seek(SeekFrom::Start(at))?;
            let (id, id_len) = read_number(reader, false)?;
            let (size, size_len) = read_number(reader, true)?;
            let start = at + id_len + size_len;
            // All ones: the writer didn't know, so it lasts as long as what it's in.
            let unknown = size == (1 << (7 * size_len)) - 1;
            let next = if unknown {
                end
            } else {
                start.saturating_add(size).min(end)
            };
            if id == CLUSTER || !self.element(reader, id, (start, next), depth)? {
                return Ok(false);
            }
            at = next;
        }
        Ok(true)
    }

    fn element<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        id: u64,
        (start, end): (u64, u64),
        depth: u32,
    ) -> io::Result<bool> {
        let size = end.saturating_sub(start);
        match id {
            SEGMENT | INFO | TRACKS | VIDEO => return self.elements(reader, start, end, depth + 1),
            TRACK_ENTRY => {
                self.frame = 0;
                let had_video = self.width.is_some();
                let go_on = self.elements(reader, start, end, depth + 1)?;
                if !had_video && self.width.is_some() && self.frame > 0 {
                    self.fps = Some(NANOS / real(self.frame));
                }
                return Ok(go_on);
            }
            TIMESTAMP_SCALE => self.scale = Some(read_unsigned(reader, size)?),
            DURATION if size == 4 => self.units = Some(f32::from_be_bytes(bytes(reader)?).into()),
            DURATION if size == 8 => self.units = Some(f64::from_be_bytes(bytes(reader)?)),
            DEFAULT_DURATION => self.frame = read_unsigned(reader, size)?,
            PIXEL_WIDTH if self.width.is_none() => {
                self.width = u32::try_from(read_unsigned(reader, size)?).ok();
            }
            PIXEL_HEIGHT if self.height.is_none() => {
                self.height = u32::try_from(read_unsigned(reader, size)?).ok();
            }
            _ => {}
        }
        Ok(true)
    }
}

/// A number whose first byte says by its leading zeros how many follow; with or without the bit
/// that ends these. Returns the number and its length.
fn read_number(reader: &mut impl Read, strip: bool) -> io::Result<(u64, u64)> {
    let [first] = bytes(reader)?;
    let more = first.leading_zeros();
    if more > 7 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let marker = if strip { 0x80 >> more } else { 0 };
    let mut number = u64::from(first & !marker);
    for _ in 0..more {
        let [next] = bytes(reader)?;
        number = number << 8 | u64::from(next);
    }
    Ok((number, u64::from(more) + 1))
}

fn read_unsigned(reader: &mut impl Read, size: u64) -> io::Result<u64> {
    if size > 8 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut number = 0;
    for _ in 0..size {
        let [next] = bytes(reader)?;
        number = number << 8 | u64::from(next);
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::probe;
    use super::*;

    fn element(id: u64, contents: &[u8]) -> Vec<u8> {
        let id: Vec<u8> = id
            .to_be_bytes()
            .into_iter()
            .skip_while(|byte| *byte == 0)
            .collect();
        let size = (u32::try_from(contents.len()).unwrap() | 0x1000_0000).to_be_bytes();
        [&id, size.as_slice(), contents].concat()
    }

    fn clip(segment: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let head = element(0x1A45_DFA3, &element(0x4282, b"webm"));
        let info = element(INFO, &element(DURATION, &5000_f32.to_be_bytes()));
        let sides = [
            element(PIXEL_WIDTH, &[0x05, 0x00]),
            element(PIXEL_HEIGHT, &[0x02, 0xD0]),
        ]
        .concat();
        let frame = element(DEFAULT_DURATION, &40_000_000_u32.to_be_bytes());
        let track = element(TRACK_ENTRY, &[frame, element(VIDEO, &sides)].concat());
        let contents = [info, element(TRACKS, &track), element(CLUSTER, &[7; 3000])].concat();
        [head, segment(&contents)].concat()
    }

    #[test]
    fn a_clip_tells_its_size_length_and_speed_even_if_it_was_streamed() {
        let sized = clip(|contents| element(SEGMENT, contents));
        let streamed = clip(|contents| {
            [
                b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
                contents,
            ]
            .concat()
        });
        for clip in [sized, streamed] {
            let facts = probe(Cursor::new(clip));
            assert_eq!(facts.mime_type, Some("video/webm"));
            assert_eq!((facts.width, facts.height), (Some(1280), Some(720)));
            assert_eq!((facts.duration, facts.fps), (Some(5.0), Some(25.0)));
        }
    }
}
