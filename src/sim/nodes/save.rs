//! Nodes that write pictures and texts.

use serde_json::{Value as Json, json};

use super::super::folders::FolderType;
use super::super::media::png;
use super::super::node::{Call, Outcome, Raised};
use super::super::value::{Frame, Value};
use super::Behaviours;

pub(super) fn register(behaviours: &mut Behaviours) {
    let mut plain = |classes: &[&str], function| super::plain(behaviours, classes, function);
    plain(&["SaveImage", "SaveImageAdvanced"], save_image);
    plain(&["PreviewImage"], |call| preview(call, "images"));
    plain(&["MaskPreview"], |call| preview(call, "mask"));
    plain(&["SaveText"], save_text);
    plain(&["SaveLatent"], save_latent);
}

fn save_image(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let prefix = call.text("filename_prefix").to_owned();
    write_images(call, "images", FolderType::Output, &prefix)
}

/// Previews go to the temp folder under a name with five letters of their own.
pub(super) fn temp_prefix(call: &Call<'_>) -> String {
    let letters = call.signature.iter().take(5);
    let letters = letters.map(|byte| char::from(b'a' + byte % 26));
    "ComfyUI_temp_".chars().chain(letters).collect()
}

fn preview(call: &mut Call<'_>, input: &str) -> Result<Outcome, Raised> {
    write_images(call, input, FolderType::Temp, &temp_prefix(call))
}

/// A safetensors file with zeros of the latent's size, and the prompt in its metadata.
fn save_latent(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let Some(Value::Latent(latent)) = call.inputs.get("samples") else {
        let message = "'NoneType' object is not subscriptable";
        return Err(Raised::new("TypeError", message));
    };
    let (rows, columns) = (latent.height / 8, latent.width / 8);
    let length = 16 * u64::from(rows) * u64::from(columns);
    let server = &*call.server;
    let header = json!({
        "__metadata__": { "prompt": server.prompt().to_string() },
        "latent_format_version_0": { "dtype": "F32", "shape": [0], "data_offsets": [0, 0] },
        "latent_tensor": {
            "dtype": "F32",
            "shape": [1, 4, rows, columns],
            "data_offsets": [0, length],
        },
    });
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + usize::try_from(length).unwrap_or(0), 0);
    let prefix = call.text("filename_prefix");
    let folders = server.folders();
    let mut slot = folders.save_slot(FolderType::Output, prefix, (0, 0), &server.now())?;
    let entry = slot.write(0, "latent", &bytes)?;
    Ok(passed_on(call, "samples").show("latents", json!([entry])))
}

fn write_images(
    call: &Call<'_>,
    input: &str,
    folder: FolderType,
    prefix: &str,
) -> Result<Outcome, Raised> {
    let frames = call.images(input)?;
    let size = frames.first().map_or((0, 0), Frame::size);
    let server = &*call.server;
    let mut slot = server
        .folders()
        .save_slot(folder, prefix, size, &server.now())?;
    let texts = png::metadata(server.prompt(), server.extra_data());
    let mut entries = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let bytes = png::encode(&frame.pixels(), &texts)?;
        entries.push(slot.write(number, "png", &bytes)?);
    }
    Ok(passed_on(call, input).show("images", entries))
}

/// Save nodes hand on what they were given, where they have an output.
pub(super) fn passed_on(call: &Call<'_>, input: &str) -> Outcome {
    let value = call
        .inputs
        .get(input)
        .cloned()
        .unwrap_or(Value::Json(Json::Null));
    Outcome::values(vec![value; call.shape.outputs.len().min(1)])
}

fn save_text(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let extension = match call.text("format") {
        "" => "txt",
        format => format,
    };
    let server = &*call.server;
    let prefix = call.text("filename_prefix");
    let mut slot = server
        .folders()
        .save_slot(FolderType::Output, prefix, (0, 0), &server.now())?;
    let entry = slot.write(0, extension, call.text("text").as_bytes())?;
    Ok(passed_on(call, "text")
        .show("text", json!([call.text("text")]))
        .show("files", json!([entry])))
}
