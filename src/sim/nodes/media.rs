//! Nodes that handle clips, sounds and 3D files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{Rgba, RgbaImage};
use serde_json::{Map, Value as Json, json};

use super::super::folders::{FolderType, Folders, SaveSlot};
use super::super::media::{apng, audio, clip, glb, png, webp};
use super::super::node::{Call, Outcome, Raised, SimNode};
use super::super::value::{Audio, Frame, Value, Video};
use super::Behaviours;
use super::generic::outputs;
use super::image::file_hash;
use super::save::{passed_on, temp_prefix};

pub(super) fn register(behaviours: &mut Behaviours) {
    super::sure(behaviours, &["EmptyAudio"], empty_audio);
    let mut plain = |classes: &[&str], function| super::plain(behaviours, classes, function);
    plain(&["CreateVideo"], create_video);
    plain(&["GetVideoComponents"], components);
    plain(&["SaveVideo"], save_video);
    plain(&["SaveWEBM"], save_webm);
    plain(&["SaveAnimatedWEBP"], save_animated_webp);
    plain(&["SaveAnimatedPNG"], save_animated_png);
    plain(&["VHS_VideoCombine"], combine_video);
    plain(&["SaveAudio"], |call| save_audio(call, "flac"));
    plain(&["SaveAudioMP3"], |call| save_audio(call, "mp3"));
    plain(&["SaveAudioOpus"], |call| save_audio(call, "opus"));
    plain(&["SaveAudioAdvanced"], |call| {
        let format = call.text("format").to_owned();
        save_audio(call, &format)
    });
    plain(&["PreviewAudio"], preview_audio);
    plain(&["SaveGLB", "Save3DAdvanced"], save_glb);
    plain(&["Preview3D", "Preview3DAdvanced"], preview_3d);
    behaviours.insert(
        "LoadVideo".to_owned(),
        Arc::new(Load {
            input: "file",
            load: |path, digest| Ok(load_video(path, digest)),
        }),
    );
    behaviours.insert(
        "LoadAudio".to_owned(),
        Arc::new(Load {
            input: "audio",
            load: load_audio,
        }),
    );
}

/// A place for the next file, as wide and high as what is saved.
fn slot(
    call: &Call<'_>,
    folder: FolderType,
    prefix: &str,
    size: (u32, u32),
) -> Result<SaveSlot, Raised> {
    let server = &*call.server;
    Ok(server
        .folders()
        .save_slot(folder, prefix, size, &server.now())?)
}

fn video<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a Video, Raised> {
    match call.inputs.get(name) {
        Some(Value::Video(video)) => Ok(video),
        _ => Err(Raised::new(
            "AttributeError",
            "'NoneType' object has no attribute 'get_dimensions'",
        )),
    }
}

fn sound(call: &Call<'_>) -> Result<Arc<Audio>, Raised> {
    match call.inputs.get("audio") {
        Some(Value::Audio(audio)) => Ok(audio.clone()),
        _ => Err(Raised::new(
            "TypeError",
            "'NoneType' object is not subscriptable",
        )),
    }
}

fn create_video(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let video = Video {
        frames: Arc::new(call.images("images")?.to_vec()),
        fps: call.number("fps", 30.0),
        audio: sound(call).ok(),
        file: None,
    };
    Ok(Outcome::values(vec![Value::Video(Arc::new(video))]))
}

fn components(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let video = video(call, "video")?;
    let audio = video
        .audio
        .clone()
        .map_or(Value::Json(Json::Null), Value::Audio);
    Ok(Outcome::values(vec![
        Value::Images(video.frames.clone()),
        audio,
        Value::Json(json!(video.fps)),
        Value::Json(json!(8)),
        Value::Json(json!("sRGB")),
    ]))
}

/// The size of a batch's pictures.
fn size_of(frames: &[Frame]) -> (u32, u32) {
    frames.first().map_or((0, 0), Frame::size)
}

fn save_video(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let video = video(call, "video")?;
    let extension = match call.text("format") {
        "" | "auto" => "mp4",
        format => format,
    };
    let bytes = match &video.file {
        Some(path) => std::fs::read(path)?,
        None => clip::encode(&video.frames, video.fps, extension)?,
    };
    let mut slot = slot(
        call,
        FolderType::Output,
        call.text("filename_prefix"),
        size_of(&video.frames),
    )?;
    let entry = slot.write(0, extension, &bytes)?;
    Ok(animated(call, "video", &entry))
}

/// The core's clips stand under `images`, marked as animated.
fn animated(call: &Call<'_>, input: &str, entry: &Json) -> Outcome {
    passed_on(call, input)
        .show("images", json!([entry]))
        .show("animated", json!([true]))
}

fn save_webm(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = call.images("images")?;
    let bytes = clip::encode(frames, call.number("fps", 24.0), "webm")?;
    let mut slot = slot(
        call,
        FolderType::Output,
        call.text("filename_prefix"),
        size_of(frames),
    )?;
    let entry = slot.write(0, "webm", &bytes)?;
    Ok(animated(call, "images", &entry))
}

fn save_animated_webp(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = call.images("images")?;
    let bytes = webp::animated_webp(frames, call.number("fps", 6.0))?;
    let mut slot = slot(
        call,
        FolderType::Output,
        call.text("filename_prefix"),
        size_of(frames),
    )?;
    let entry = slot.write(0, "webp", &bytes)?;
    Ok(animated(call, "images", &entry))
}

fn save_animated_png(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = call.images("images")?;
    let texts = png::metadata(call.server.prompt(), call.server.extra_data());
    let bytes = apng::animated(frames, call.number("fps", 6.0), &texts)?;
    let mut slot = slot(
        call,
        FolderType::Output,
        call.text("filename_prefix"),
        size_of(frames),
    )?;
    let entry = slot.write(0, "png", &bytes)?;
    Ok(animated(call, "images", &entry))
}

/// The widespread custom node, should its facts be loaded: results under `gifs`, with format and
/// frame rate.
fn combine_video(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = call.images("images")?;
    let fps = call.number("frame_rate", 8.0);
    let saves = call.json("save_output").is_none_or(|save| save == true);
    let folder = if saves {
        FolderType::Output
    } else {
        FolderType::Temp
    };
    let mut slot = slot(call, folder, call.text("filename_prefix"), size_of(frames))?;
    let mut entry = slot.write(0, "mp4", &clip::encode(frames, fps, "mp4")?)?;
    entry["format"] = json!("video/h264-mp4");
    entry["frame_rate"] = json!(fps);
    Ok(passed_on(call, "images").show("gifs", json!([entry])))
}

fn empty_audio(call: &mut Call<'_>) -> Outcome {
    let audio = Audio {
        seconds: call.number("duration", 60.0),
        sample_rate: call.size("sample_rate", 44_100).clamp(8_000, 192_000),
        digest: call.signature,
        silent: true,
    };
    Outcome::values(vec![Value::Audio(Arc::new(audio))])
}

fn encoded(sound: &Audio, format: &str) -> (&'static str, Vec<u8>) {
    match format {
        "mp3" => ("mp3", audio::mp3(sound)),
        "opus" => ("opus", audio::opus(sound)),
        "wav" => ("wav", audio::wav(sound)),
        _ => ("flac", audio::flac(sound)),
    }
}

fn save_audio(call: &mut Call<'_>, format: &str) -> Result<Outcome, Raised> {
    let (extension, bytes) = encoded(&*sound(call)?, format);
    let mut slot = slot(
        call,
        FolderType::Output,
        call.text("filename_prefix"),
        (0, 0),
    )?;
    let entry = slot.write(0, extension, &bytes)?;
    Ok(passed_on(call, "audio").show("audio", json!([entry])))
}

fn preview_audio(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let (extension, bytes) = encoded(&*sound(call)?, "flac");
    let mut slot = slot(call, FolderType::Temp, &temp_prefix(call), (0, 0))?;
    let entry = slot.write(0, extension, &bytes)?;
    Ok(passed_on(call, "audio").show("audio", json!([entry])))
}

fn save_glb(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let mut slot = slot(
        call,
        FolderType::Output,
        call.text("filename_prefix"),
        (0, 0),
    )?;
    let entry = slot.write(0, "glb", &glb::triangle())?;
    Ok(Outcome::values(outputs(call)).show("3d", json!([entry])))
}

/// `result` holds the path, the camera and the background.
fn preview_3d(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let path = match call.text("model_file") {
        "" => {
            let mut slot = slot(call, FolderType::Output, "preview3d", (0, 0))?;
            slot.write(0, "glb", &glb::triangle())?["filename"].clone()
        }
        path => json!(path),
    };
    Ok(Outcome::values(outputs(call)).show("result", json!([path, null, null])))
}

/// Reads an uploaded clip or sound. It is passed on as a file; what stands for its content are
/// pictures and tones out of its hash.
struct Load {
    input: &'static str,
    load: fn(&Path, [u8; 32]) -> std::io::Result<Value>,
}

impl SimNode for Load {
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised> {
        let path = call.input_file(self.input)?;
        Ok(Outcome::values(vec![(self.load)(&path, call.signature)?]))
    }

    fn changed(&self, constants: &Map<String, Json>, folders: &Folders) -> Option<String> {
        file_hash(constants, folders, self.input)
    }
}

/// Real decoders are out of reach here: a clip counts as two seconds of one shade.
fn load_video(path: &Path, digest: [u8; 32]) -> Value {
    let shade = Rgba([digest[0], digest[1], digest[2], 255]);
    let frame = Frame::from_pixels(RgbaImage::from_pixel(512, 288, shade));
    Value::Video(Arc::new(Video {
        frames: Arc::new(vec![frame; 48]),
        fps: 24.0,
        audio: None,
        file: Some(PathBuf::from(path)),
    }))
}

/// A WAV file's length is read from its size, any other counts as five seconds.
fn load_audio(path: &Path, digest: [u8; 32]) -> std::io::Result<Value> {
    let bytes = std::fs::read(path)?;
    let rate = bytes.get(28..32).filter(|_| bytes.starts_with(b"RIFF"));
    let rate = rate.map(|rate| u32::from_le_bytes([rate[0], rate[1], rate[2], rate[3]]));
    let length = u32::try_from(bytes.len())
        .unwrap_or(u32::MAX)
        .saturating_sub(44);
    let seconds = rate
        .filter(|rate| *rate > 0)
        .map_or(5.0, |rate| f64::from(length) / f64::from(rate));
    Ok(Value::Audio(Arc::new(Audio {
        seconds,
        sample_rate: 44_100,
        digest,
        silent: false,
    })))
}
