//! MP4 and its forefather `QuickTime`: boxes of a size, a name and contents (ISO/IEC 14496-12).

use std::io::{self, Read, Seek, SeekFrom};

use super::MediaFacts;
use super::facts::{bytes, real};

/// More boxes than this aren't looked at: a file may be nothing but empty ones.
const MAX_BOXES: u32 = 10_000;

/// Boxes within boxes, as deep as those we look for.
const MAX_DEPTH: u32 = 8;

#[derive(Default)]
struct Track {
    is_video: bool,
    width: u32,
    height: u32,
    seconds: f64,
    samples: u64,
}

struct Walk<'a> {
    facts: &'a mut MediaFacts,
    track: Track,
    boxes: u32,
}

pub(super) fn read<R: Read + Seek>(reader: &mut R, facts: &mut MediaFacts) -> io::Result<()> {
    let end = reader.seek(SeekFrom::End(0))?;
    let mut walk = Walk {
        facts,
        track: Track::default(),
        boxes: 0,
    };
    walk.boxes(reader, 0, end, 0)
}

impl Walk<'_> {
    fn boxes<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        mut at: u64,
        end: u64,
        depth: u32,
    ) -> io::Result<()> {
        while at + 8 <= end && self.boxes < MAX_BOXES && depth < MAX_DEPTH {
            self.boxes += 1;
            reader.seek(SeekFrom::Start(at))?;
            let mut size = u64::from(u32::from_be_bytes(bytes(reader)?));
            let name: [u8; 4] = bytes(reader)?;
            let mut header = 8;
            if size == 1 {
                size = u64::from_be_bytes(bytes(reader)?);
                header = 16;
            } else if size == 0 {
                size = end - at;
            }
            let next = at.saturating_add(size).min(end);
            if size < header {
                return Ok(());
            }
            self.one(reader, name, (at + header, next), depth)?;
            at = next;
        }
        Ok(())
    }

    fn one<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        name: [u8; 4],
        (start, end): (u64, u64),
        depth: u32,
    ) -> io::Result<()> {
        match &name {
            b"moov" | b"mdia" | b"minf" | b"stbl" => self.boxes(reader, start, end, depth + 1)?,
            b"trak" => {
                self.track = Track::default();
                self.boxes(reader, start, end, depth + 1)?;
                self.end_track();
            }
            b"mvhd" => self.facts.duration = read_duration(reader)?,
            b"mdhd" => self.track.seconds = read_duration(reader)?.unwrap_or(0.0),
            b"tkhd" => {
                // Both sides are the last eight bytes, in whole and 65536th pixels.
                reader.seek(SeekFrom::Start(end.saturating_sub(8).max(start)))?;
                self.track.width = u32::from_be_bytes(bytes(reader)?) >> 16;
                self.track.height = u32::from_be_bytes(bytes(reader)?) >> 16;
            }
            b"hdlr" => {
                reader.seek(SeekFrom::Current(8))?;
                self.track.is_video = bytes(reader)? == *b"vide";
            }
            b"stts" => self.track.samples = read_sample_count(reader)?,
            _ => {}
        }
        Ok(())
    }

    fn end_track(&mut self) {
        let track = &self.track;
        if !track.is_video || self.facts.width.is_some() || track.width == 0 {
            return;
        }
        self.facts.width = Some(track.width);
        self.facts.height = Some(track.height);
        if track.seconds > 0.0 && track.samples > 0 {
            self.facts.fps = Some(real(track.samples) / track.seconds);
        }
    }
}

/// `mvhd` and `mdhd` begin alike: version, flags, two dates, units per second, units.
fn read_duration(reader: &mut (impl Read + Seek)) -> io::Result<Option<f64>> {
    let [version, ..] = bytes::<4>(reader)?;
    reader.seek(SeekFrom::Current(if version == 1 { 16 } else { 8 }))?;
    let per_second = u32::from_be_bytes(bytes(reader)?);
    let units = if version == 1 {
        u64::from_be_bytes(bytes(reader)?)
    } else {
        u64::from(u32::from_be_bytes(bytes(reader)?))
    };
    Ok((per_second > 0).then(|| real(units) / f64::from(per_second)))
}

/// `stts` says how many samples last how long, run by run.
fn read_sample_count(reader: &mut impl Read) -> io::Result<u64> {
    const MAX_RUNS: u32 = 100_000;
    bytes::<4>(reader)?;
    let runs = u32::from_be_bytes(bytes(reader)?).min(MAX_RUNS);
    let mut samples = 0;
    for _ in 0..runs {
        samples += u64::from(u32::from_be_bytes(bytes(reader)?));
        bytes::<4>(reader)?;
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::probe;

    fn boxed(name: [u8; 4], contents: &[u8]) -> Vec<u8> {
        let size = u32::try_from(contents.len() + 8).unwrap();
        [&size.to_be_bytes(), name.as_slice(), contents].concat()
    }

    /// Version 0: flags, dates, units per second, units.
    fn timed(name: [u8; 4], per_second: u32, units: u32) -> Vec<u8> {
        let numbers = [0, 0, 0, per_second, units].map(u32::to_be_bytes);
        boxed(name, &[numbers.as_flattened(), &[0; 80]].concat())
    }

    fn track(handler: [u8; 4], (width, height): (u32, u32), frames: u32) -> Vec<u8> {
        let sides = [width << 16, height << 16].map(u32::to_be_bytes);
        let tkhd = boxed(*b"tkhd", &[&[0; 76], sides.as_flattened()].concat());
        let hdlr = boxed(*b"hdlr", &[&[0; 8], handler.as_slice(), &[0; 12]].concat());
        let runs = [0, 2, frames - 1, 512, 1, 512].map(u32::to_be_bytes);
        let stbl = boxed(*b"stbl", &boxed(*b"stts", runs.as_flattened()));
        let minf = boxed(*b"minf", &stbl);
        let mdia = boxed(
            *b"mdia",
            &[timed(*b"mdhd", 12_288, 81 * 512), hdlr, minf].concat(),
        );
        boxed(*b"trak", &[tkhd, mdia].concat())
    }

    #[test]
    fn a_clip_tells_its_size_length_and_speed_wherever_its_header_lies() {
        let sound = track(*b"soun", (0, 0), 100);
        let moov = boxed(
            *b"moov",
            &[
                timed(*b"mvhd", 1000, 3375),
                sound,
                track(*b"vide", (832, 480), 81),
            ]
            .concat(),
        );
        let ftyp = boxed(*b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41");
        let mdat = boxed(*b"mdat", &[7; 5000]);

        for clip in [
            [ftyp.clone(), moov.clone(), mdat.clone()].concat(),
            [ftyp, mdat, moov].concat(),
        ] {
            let facts = probe(Cursor::new(clip));
            assert_eq!(facts.mime_type, Some("video/mp4"));
            assert_eq!((facts.width, facts.height), (Some(832), Some(480)));
            assert_eq!(facts.duration, Some(3.375));
            assert_eq!(facts.fps, Some(24.0));
        }
    }
}
