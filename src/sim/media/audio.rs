//! Sound files. A melody out of a hash, as WAV, or as FLAC with verbatim samples: both are
//! containers around plain numbers, so that no encoder is needed.

use std::f32::consts::TAU;

use super::super::value::Audio;

/// Longer sounds are cut, to keep files small.
const LONGEST: f64 = 30.0;

/// Samples in a FLAC frame.
const BLOCK: usize = 4096;

/// A pentatonic scale, in cycles a second.
const SCALE: [f32; 6] = [220.0, 261.63, 293.66, 329.63, 392.0, 440.0];

/// Notes a second.
const TEMPO: f32 = 4.0;

/// The samples of one channel.
fn samples(audio: &Audio) -> Vec<i16> {
    let rate = small(audio.sample_rate.max(1));
    let count = audio.seconds.clamp(0.01, LONGEST) * f64::from(audio.sample_rate.max(1));
    (0..whole(count))
        .map(|place| {
            if audio.silent {
                return 0;
            }
            let time = small(place) / rate;
            let beat = time * TEMPO;
            let note = audio.digest[floor(beat) % audio.digest.len()];
            let fade = (-3.0 * beat.fract()).exp();
            let tone = (time * SCALE[usize::from(note) % SCALE.len()] * TAU).sin();
            level(tone * fade * 0.4)
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded by LONGEST"
)]
fn whole(count: f64) -> u32 {
    count as u32
}

#[expect(clippy::cast_precision_loss, reason = "a place within half a minute")]
fn small(number: u32) -> f32 {
    number as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of beats"
)]
fn floor(beat: f32) -> usize {
    beat as usize
}

#[expect(clippy::cast_possible_truncation, reason = "within -1 to 1 before")]
fn level(tone: f32) -> i16 {
    (tone.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16
}

/// A RIFF file with 16-bit samples of one channel.
pub(in super::super) fn wav(audio: &Audio) -> Vec<u8> {
    let samples = samples(audio);
    let data = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let rate = audio.sample_rate;
    let mut bytes = Vec::with_capacity(44 + samples.len() * 2);
    bytes.extend(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1u16, 1].map(u16::to_le_bytes).concat());
    bytes.extend([rate, rate * 2].map(u32::to_le_bytes).concat());
    bytes.extend([2u16, 16].map(u16::to_le_bytes).concat());
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

/// A FLAC file with 16-bit samples of one channel, none of them compressed.
pub(in super::super) fn flac(audio: &Audio) -> Vec<u8> {
    let samples = samples(audio);
    let mut bytes = b"fLaC".to_vec();
    // The stream info is the only metadata block, so it is marked as the last.
    bytes.extend([0x80, 0, 0, 34]);
    let block = u16::try_from(BLOCK).unwrap_or(u16::MAX).to_be_bytes();
    bytes.extend([block, block].concat());
    bytes.extend([0; 6]);
    // 20 bits rate, 3 bits channels - 1, 5 bits sample size - 1, 36 bits count of samples.
    let packed = u64::from(audio.sample_rate & 0xF_FFFF) << 44 | 15 << 36 | samples.len() as u64;
    bytes.extend(packed.to_be_bytes());
    // No checksum of the samples.
    bytes.extend([0; 16]);
    for (number, block) in (0u32..).zip(samples.chunks(BLOCK)) {
        bytes.extend(flac_frame(number, block));
    }
    bytes
}

fn flac_frame(number: u32, samples: &[i16]) -> Vec<u8> {
    // Fixed block size; block size in 16 bits below, rate and sample size from the stream info,
    // one channel.
    let mut frame = vec![0xFF, 0xF8, 0x70, 0x00];
    let mut coded = [0; 4];
    // Frame numbers are coded as UTF-8 codes code points; a file this short has few frames.
    let number = char::from_u32(number).unwrap_or('\0');
    frame.extend(number.encode_utf8(&mut coded).bytes());
    frame.extend(
        u16::try_from(samples.len() - 1)
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    frame.push(crc8(&frame));
    // A verbatim subframe without wasted bits.
    frame.push(0x02);
    frame.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
    frame.extend(crc16(&frame).to_be_bytes());
    frame
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| {
            if crc & 0x80 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x07
            }
        })
    })
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc: u16, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x8005
            }
        })
    })
}

/// An Ogg Opus file of silence as long as the sound: every packet is one that stands for 20 ms of
/// nothing (a lone table-of-contents byte).
pub(in super::super) fn opus(audio: &Audio) -> Vec<u8> {
    let serial = u32::from_le_bytes([audio.digest[0], audio.digest[1], audio.digest[2], 1]);
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend(0u16.to_le_bytes());
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend(3u32.to_le_bytes());
    tags.extend(b"sim");
    tags.extend(0u32.to_le_bytes());
    let mut bytes = ogg_page(serial, 0, 0x02, 0, &[head]);
    bytes.extend(ogg_page(serial, 1, 0, 0, &[tags]));
    let packets = whole(audio.seconds.clamp(0.02, LONGEST) * 50.0).max(1);
    let mut sent = 0;
    let mut page = 2;
    while sent < packets {
        let count = (packets - sent).min(200);
        sent += count;
        let flags = if sent == packets { 0x04 } else { 0 };
        // CELT, full band, 20 ms, one channel, one frame of no bytes.
        let silence = vec![vec![0xF8]; count as usize];
        bytes.extend(ogg_page(
            serial,
            page,
            flags,
            u64::from(sent) * 960,
            &silence,
        ));
        page += 1;
    }
    bytes
}

fn ogg_page(serial: u32, number: u32, flags: u8, position: u64, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(position.to_le_bytes());
    page.extend([serial, number, 0].map(u32::to_le_bytes).concat());
    page.push(u8::try_from(packets.len()).unwrap_or(u8::MAX));
    page.extend(
        packets
            .iter()
            .map(|packet| u8::try_from(packet.len()).unwrap_or(u8::MAX)),
    );
    page.extend(packets.concat());
    let crc = page.iter().fold(0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc & 0x8000_0000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x04C1_1DB7
            }
        })
    });
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}

/// An MP3 file of silence: frames of MPEG 1 layer III, 64 kbit/s, 44.1 kHz, one channel.
pub(in super::super) fn mp3(audio: &Audio) -> Vec<u8> {
    const FRAME: usize = 144 * 64_000 / 44_100;
    let frames = whole(audio.seconds.clamp(0.03, LONGEST) * 44_100.0 / 1152.0).max(1);
    let mut frame = vec![0; FRAME];
    frame[..4].copy_from_slice(&[0xFF, 0xFB, 0x50, 0xC4]);
    frame.repeat(frames as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn melody() -> Audio {
        Audio {
            seconds: 0.5,
            sample_rate: 44_100,
            digest: [7; 32],
            silent: false,
        }
    }

    #[test]
    fn a_wav_file_says_its_own_length() {
        let bytes = wav(&melody());
        let riff = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        assert_eq!(riff + 8, bytes.len());
        assert_eq!(bytes.len(), 44 + 2 * 22_050);
    }

    #[test]
    fn checksums_are_those_of_their_standards() {
        // The check values for "123456789" in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc8(b"123456789"), 0xF4);
        assert_eq!(crc16(b"123456789"), 0xFEE8);
    }
}
