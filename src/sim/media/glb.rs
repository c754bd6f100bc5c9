//! A 3D file: one triangle in binary glTF.

/// The smallest valid GLB with something to see.
pub(in super::super) fn triangle() -> Vec<u8> {
    let corners: [f32; 9] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let data: Vec<u8> = corners
        .iter()
        .flat_map(|corner| corner.to_le_bytes())
        .collect();
    let scene = serde_json::json!({
        "asset": { "version": "2.0", "generator": "ComfyUI simulator" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0 }],
        "meshes": [{ "primitives": [{ "attributes": { "POSITION": 0 } }] }],
        "accessors": [{
            "bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3",
            "min": [0.0, 0.0, 0.0], "max": [1.0, 1.0, 0.0],
        }],
        "bufferViews": [{ "buffer": 0, "byteOffset": 0, "byteLength": data.len() }],
        "buffers": [{ "byteLength": data.len() }],
    });
    let mut scene = scene.to_string().into_bytes();
    scene.resize(scene.len().next_multiple_of(4), b' ');
    let chunks = [chunk(*b"JSON", &scene), chunk(*b"BIN\0", &data)].concat();
    let length = u32::try_from(chunks.len() + 12).unwrap_or(u32::MAX);
    [
        b"glTF",
        &2u32.to_le_bytes()[..],
        &length.to_le_bytes(),
        &chunks,
    ]
    .concat()
}

fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &kind, content].concat()
}
