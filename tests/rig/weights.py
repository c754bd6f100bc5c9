"""Makes tiny random models that the real ComfyUI loads and samples with, within seconds on a CPU.

The family is Stable Diffusion 3, because its sizes are read from the weights: hidden size 128,
two blocks, 16 latent channels. The text encoder has no such freedom, so the blocks of its full
shape are zero and lie in the file as a hole: 247 MB to the loader, 76 MB on the disk. With zero
blocks it still tells prompts apart, by their token embeddings.

Usage: weights.py MODELS_FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np

HIDDEN = 128
BLOCKS = 2
CHANNELS = 16
CONTEXT = 4096
POOLED = 2048
POSITIONS = 192 * 192
CLIP_HIDDEN = 768
CLIP_LAYERS = 12
CLIP_TOKENS = 49408


class Zeros:
    """A tensor of zeros, left out of the file's written part."""

    def __init__(self, *shape):
        self.shape = shape
        self.nbytes = 2 * int(np.prod(shape, dtype=np.int64))


def save(path, tensors):
    """Writes `tensors` (float16) as a safetensors file, zeros last and as a hole."""
    ordered = sorted(tensors.items(), key=lambda item: isinstance(item[1], Zeros))
    header, end = {"__metadata__": {"made_by": "massmediafactory test rig"}}, 0
    for name, tensor in ordered:
        header[name] = {
            "dtype": "F16",
            "shape": list(tensor.shape),
            "data_offsets": [end, end + tensor.nbytes],
        }
        end += tensor.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for _, tensor in ordered:
            if not isinstance(tensor, Zeros):
                file.write(tensor.tobytes())
        file.truncate(8 + len(head) + end)


class Maker:
    """Draws tensors from one seeded stream, so that every machine makes the same files."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def tensor(self, *shape, scale):
        drawn = self.random.standard_normal(shape, dtype=np.float32)
        return (drawn * scale).astype(np.float16)

    def linear(self, name, outputs, inputs):
        return {
            f"{name}.weight": self.tensor(outputs, inputs, scale=inputs**-0.5),
            f"{name}.bias": self.tensor(outputs, scale=0.02),
        }

    def conv(self, name, outputs, inputs, size=3, bias=True, gain=1.0):
        scale = gain * (2 / (inputs * size * size)) ** 0.5
        made = {f"{name}.weight": self.tensor(outputs, inputs, size, size, scale=scale)}
        if bias:
            made[f"{name}.bias"] = self.tensor(outputs, scale=0.02)
        return made


def diffusion_model():
    make = Maker(1)
    made = {"pos_embed": make.tensor(1, POSITIONS, HIDDEN, scale=0.5)}
    made |= make.conv("x_embedder.proj", HIDDEN, CHANNELS, size=2)
    for name, inputs in (("t_embedder", 256), ("y_embedder", POOLED)):
        made |= make.linear(f"{name}.mlp.0", HIDDEN, inputs)
        made |= make.linear(f"{name}.mlp.2", HIDDEN, HIDDEN)
    made |= make.linear("context_embedder", HIDDEN, CONTEXT)
    for number in range(BLOCKS):
        for side in ("context_block", "x_block"):
            block = f"joint_blocks.{number}.{side}"
            # The last block hands no text on, so its text side only feeds the attention.
            feeds_only = side == "context_block" and number == BLOCKS - 1
            made |= make.linear(f"{block}.attn.qkv", 3 * HIDDEN, HIDDEN)
            modulations = 2 if feeds_only else 6
            made |= make.linear(f"{block}.adaLN_modulation.1", modulations * HIDDEN, HIDDEN)
            if not feeds_only:
                made |= make.linear(f"{block}.attn.proj", HIDDEN, HIDDEN)
                made |= make.linear(f"{block}.mlp.fc1", 4 * HIDDEN, HIDDEN)
                made |= make.linear(f"{block}.mlp.fc2", HIDDEN, 4 * HIDDEN)
    made |= make.linear("final_layer.linear", 4 * CHANNELS, HIDDEN)
    made |= make.linear("final_layer.adaLN_modulation.1", 2 * HIDDEN, HIDDEN)
    return made


def clip_l():
    make = Maker(2)
    hidden = CLIP_HIDDEN
    made = {
        "text_model.embeddings.token_embedding.weight": make.tensor(CLIP_TOKENS, hidden, scale=1),
        "text_model.embeddings.position_embedding.weight": make.tensor(77, hidden, scale=0.1),
        "text_model.final_layer_norm.weight": np.ones(hidden, np.float16),
        "text_model.final_layer_norm.bias": Zeros(hidden),
        "text_projection.weight": Zeros(hidden, hidden),
    }
    shapes = {f"self_attn.{part}_proj": (hidden, hidden) for part in ("q", "k", "v", "out")}
    shapes |= {"layer_norm1": (hidden,), "layer_norm2": (hidden,)}
    shapes |= {"mlp.fc1": (4 * hidden, hidden), "mlp.fc2": (hidden, 4 * hidden)}
    for number in range(CLIP_LAYERS):
        for part, shape in shapes.items():
            name = f"text_model.encoder.layers.{number}.{part}"
            made[f"{name}.weight"] = Zeros(*shape)
            made[f"{name}.bias"] = Zeros(shape[0])
    return made


def autoencoder(make, layers):
    """`layers` says what stands at each index: a block, or a convolution (outputs, inputs, bias)."""
    made = {}
    for index, layer in layers.items():
        if layer == "block":
            # A weak last step keeps the block close to passing its input on, so that ten in a row
            # do not blow the values up to a picture of pure black and white.
            for step, gain in ((0, 1.0), (2, 1.0), (4, 0.2)):
                made |= make.conv(f"{index}.conv.{step}", 64, 64, gain=gain)
        else:
            outputs, inputs, bias = layer
            made |= make.conv(str(index), outputs, inputs, bias=bias)
    return made


def vae_encoder():
    layers = dict.fromkeys((1, 3, 4, 5, 7, 8, 9, 11, 12, 13), "block")
    layers |= dict.fromkeys((2, 6, 10), (64, 64, False))
    layers |= {0: (64, 3, True), 14: (CHANNELS, 64, True)}
    return autoencoder(Maker(3), layers)


def vae_decoder():
    layers = dict.fromkeys((3, 4, 5, 8, 9, 10, 13, 14, 15, 18), "block")
    layers |= dict.fromkeys((7, 12, 17), (64, 64, False))
    layers |= {1: (64, CHANNELS, True)}
    make = Maker(4)
    made = autoencoder(make, layers) | make.conv("19", 3, 64, gain=0.2)
    made["19.bias"] = np.full(3, 0.5, np.float16)  # the middle of a picture's 0 to 1
    return made


def lora():
    make = Maker(5)
    made = {}
    for number in range(BLOCKS):
        target = f"diffusion_model.joint_blocks.{number}.x_block.attn.proj"
        made[f"{target}.lora_A.weight"] = make.tensor(4, HIDDEN, scale=0.2)
        made[f"{target}.lora_B.weight"] = make.tensor(HIDDEN, 4, scale=0.2)
    return made


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def main(models):
    unet, text, encoder, decoder = diffusion_model(), clip_l(), vae_encoder(), vae_decoder()
    vae = prefixed("taesd_encoder.", encoder) | prefixed("taesd_decoder.", decoder)
    vae |= {"vae_scale": np.array(1.5305, np.float16), "vae_shift": np.array(0.0609, np.float16)}
    checkpoint = prefixed("model.diffusion_model.", unet)
    checkpoint |= prefixed("text_encoders.clip_l.transformer.", text)
    checkpoint |= prefixed("first_stage_model.", vae)
    save(models / "diffusion_models/sd3_tiny.safetensors", unet)
    save(models / "text_encoders/clip_l_tiny.safetensors", text)
    save(models / "vae_approx/taesd3_encoder.safetensors", encoder)
    save(models / "vae_approx/taesd3_decoder.safetensors", decoder)
    save(models / "vae/sd3_vae_tiny.safetensors", vae)
    save(models / "checkpoints/sd3_checkpoint_tiny.safetensors", checkpoint)
    save(models / "loras/style_tiny.safetensors", lora())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
