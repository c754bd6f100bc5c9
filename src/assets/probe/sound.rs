//! How long sounds last.

use std::io::{self, Read, Seek, SeekFrom};

use super::MediaFacts;
use super::facts::{bytes, real};

/// RIFF: chunks of a name, a size and contents. The size of `data` by the bytes per second.
pub(super) fn read_wav<R: Read + Seek>(reader: &mut R, facts: &mut MediaFacts) -> io::Result<()> {
    const MAX_CHUNKS: u32 = 1000;
    let end = reader.seek(SeekFrom::End(0))?;
    let mut at = 12;
    let mut per_second = 0;
    for _ in 0..MAX_CHUNKS {
        reader.seek(SeekFrom::Start(at))?;
        let name: [u8; 4] = bytes(reader)?;
        let size = u64::from(u32::from_le_bytes(bytes(reader)?));
        match &name {
            b"fmt " => {
                reader.seek(SeekFrom::Current(8))?;
                per_second = u32::from_le_bytes(bytes(reader)?);
            }
            b"data" if per_second > 0 => {
                // A streamed file says 0 or 0xFFFFFFFF; what is there counts.
                let there = end.saturating_sub(at + 8);
                let size = if size == 0 { there } else { size.min(there) };
                facts.duration = Some(real(size) / f64::from(per_second));
                return Ok(());
            }
            _ => {}
        }
        at += 8 + size + size % 2;
    }
    Ok(())
}

/// The first block: 20 bits of samples per second and 36 bits of samples (RFC 9639).
pub(super) fn read_flac<R: Read + Seek>(reader: &mut R, facts: &mut MediaFacts) -> io::Result<()> {
    reader.seek(SeekFrom::Start(18))?;
    let bits = u64::from_be_bytes(bytes(reader)?);
    let (per_second, samples) = (bits >> 44, bits & 0xF_FFFF_FFFF);
    if per_second > 0 {
        facts.duration = Some(real(samples) / real(per_second));
    }
    Ok(())
}

/// The last page says how many samples there have been; the first one how many there are in a
/// second (RFC 3533; Opus always counts 48,000, RFC 7845).
pub(super) fn read_ogg<R: Read + Seek>(reader: &mut R, facts: &mut MediaFacts) -> io::Result<()> {
    /// No page is longer.
    const PAGE_BYTES: u64 = 65_307;
    const OPUS_PER_SECOND: u32 = 48_000;
    let mut head = Vec::new();
    reader.by_ref().take(128).read_to_end(&mut head)?;
    let at = |magic: &[u8]| head.windows(magic.len()).position(|window| window == magic);
    let field = |offset: usize, len: usize| head.get(offset..offset + len);
    let (per_second, skipped) = if let Some(at) = at(b"OpusHead") {
        let skipped =
            field(at + 10, 2).map_or(0, |field| u64::from(field[0]) | u64::from(field[1]) << 8);
        (OPUS_PER_SECOND, skipped)
    } else if let Some(at) = at(b"\x01vorbis") {
        let field = field(at + 12, 4).and_then(|field| field.try_into().ok());
        (field.map_or(0, u32::from_le_bytes), 0)
    } else {
        return Ok(());
    };
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(end.saturating_sub(PAGE_BYTES)))?;
    let mut tail = Vec::new();
    reader.by_ref().take(PAGE_BYTES).read_to_end(&mut tail)?;
    let page = tail.windows(4).rposition(|window| window == b"OggS");
    let samples = page
        .and_then(|at| tail.get(at + 6..at + 14))
        .and_then(|field| field.try_into().ok());
    let samples = samples.map_or(0, u64::from_le_bytes);
    // All ones: no packet ends on the page.
    if per_second > 0 && samples != u64::MAX {
        facts.duration = Some(real(samples.saturating_sub(skipped)) / f64::from(per_second));
    }
    Ok(())
}

/// MPEG audio has no header of its own: the first frame says how fast the bytes go, or, if they
/// go at a varying speed, carries a note of how many frames there are.
pub(super) fn read_mp3<R: Read + Seek>(reader: &mut R, facts: &mut MediaFacts) -> io::Result<()> {
    const SEARCHED_BYTES: u64 = 64 << 10;
    let start = after_id3(reader)?;
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(start))?;
    let mut head = Vec::new();
    reader
        .by_ref()
        .take(SEARCHED_BYTES)
        .read_to_end(&mut head)?;
    let found = (0..head.len()).find_map(|at| Frame::parse(&head[at..]).map(|frame| (at, frame)));
    let Some((at, frame)) = found else {
        return Ok(());
    };
    let counted = frame_count(&head[at..]);
    facts.duration = Some(match counted {
        Some(frames) => f64::from(frames) * f64::from(frame.samples) / f64::from(frame.per_second),
        None => {
            real(end.saturating_sub(start + at as u64)) * 8.0 / (f64::from(frame.kilobits) * 1000.0)
        }
    });
    Ok(())
}

/// Tags before the sound say their length in four times seven bits.
fn after_id3<R: Read + Seek>(reader: &mut R) -> io::Result<u64> {
    reader.seek(SeekFrom::Start(0))?;
    let head: [u8; 10] = bytes(reader)?;
    if !head.starts_with(b"ID3") {
        return Ok(0);
    }
    let size = head[6..]
        .iter()
        .fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
    Ok(10 + size)
}

/// The note that encoders leave in the first frame of a sound of varying speed.
fn frame_count(frame: &[u8]) -> Option<u32> {
    const HAS_FRAMES: u8 = 1;
    let note = &frame[..frame.len().min(64)];
    let at = note
        .windows(4)
        .position(|window| window == b"Xing" || window == b"Info")?;
    let fields = frame.get(at + 4..at + 12)?;
    let frames = u32::from_be_bytes(fields[4..].try_into().ok()?);
    (fields[3] & HAS_FRAMES != 0 && frames > 0).then_some(frames)
}

/// What the header of a layer III frame says.
struct Frame {
    kilobits: u16,
    per_second: u32,
    /// In the frame.
    samples: u16,
}

impl Frame {
    fn parse(head: &[u8]) -> Option<Self> {
        const VERSION_1: [u16; 15] = [
            0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ];
        const VERSION_2: [u16; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        const PER_SECOND: [u32; 3] = [44_100, 48_000, 32_000];
        let &[0xff, second, third, ..] = head else {
            return None;
        };
        // The rest of the sync bits, and layer III.
        if second & 0xe6 != 0xe2 {
            return None;
        }
        let (rates, halved, samples) = match second >> 3 & 3 {
            3 => (VERSION_1, 0, 1152),
            2 => (VERSION_2, 1, 576),
            0 => (VERSION_2, 2, 576),
            _ => return None,
        };
        let kilobits = *rates.get(usize::from(third >> 4))?;
        let per_second = PER_SECOND.get(usize::from(third >> 2 & 3))? >> halved;
        (kilobits > 0).then_some(Self {
            kilobits,
            per_second,
            samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::probe;

    fn seconds(bytes: Vec<u8>) -> Option<f64> {
        probe(Cursor::new(bytes)).duration
    }

    #[test]
    fn a_wav_lasts_as_long_as_its_data_even_if_it_was_streamed() {
        for size in [88_200_u32, 0, u32::MAX] {
            let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
            wav.extend([44_100_u32, 88_200].map(u32::to_le_bytes).as_flattened());
            wav.extend(b"\x02\0\x10\0LIST\x03\0\0\0abc\0data");
            wav.extend(size.to_le_bytes());
            wav.extend(vec![0; 88_200]);
            assert_eq!(seconds(wav), Some(1.0), "{size}");
        }
    }

    #[test]
    fn a_flac_says_how_many_samples_it_has() {
        let mut flac = b"fLaC\0\0\0\x22".to_vec();
        flac.extend([0; 10]);
        flac.extend((44_100_u64 << 44 | u64::from(441_000_u32)).to_be_bytes());
        assert_eq!(seconds(flac), Some(10.0));
    }

    #[test]
    fn an_ogg_lasts_until_its_last_page() {
        let page = |samples: u64, contents: &[u8]| {
            [
                b"OggS\0\x02",
                samples.to_le_bytes().as_slice(),
                &[0; 13],
                contents,
            ]
            .concat()
        };
        let opus = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0";
        let vorbis = b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0";
        let end = vec![7; 200];

        assert_eq!(
            seconds([page(0, opus), page(48_000 * 3 + 312, &end)].concat()),
            Some(3.0)
        );
        assert_eq!(
            seconds([page(0, vorbis), page(44_100 * 2, &end)].concat()),
            Some(2.0)
        );
    }

    #[test]
    fn an_mp3_goes_by_its_speed_or_by_the_count_it_carries() {
        // 128 kilobits per second, 44,100 samples per second.
        let header = [0xff, 0xfb, 0x90, 0x64];
        let tag = b"ID3\x04\0\0\0\0\x01\0";
        let steady = [tag.as_slice(), &[0; 128], &header, &[0; 15_996]].concat();
        assert_eq!(seconds(steady), Some(1.0));

        let note = [
            b"Xing".as_slice(),
            &1_u32.to_be_bytes(),
            &1225_u32.to_be_bytes(),
        ]
        .concat();
        let varying = [header.as_slice(), &[0; 32], &note, &[0; 500]].concat();
        assert_eq!(seconds(varying), Some(32.0));
    }
}
