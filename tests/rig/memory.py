"""Asks ComfyUI's own code how much memory it reckons with, for the tests of our reckoning.

The classes of the families and of the autoencoders are the real ones. They are made without
weights: of a model the network is left out (by ComfyUI's own switch), an autoencoder is told
apart by tensors of the right names and shapes and then keeps what it was born with.

Usage: memory.py COMFYUI_FOLDER     with a JSON list of questions on standard input:
    {"model": CLASS, "config": {...}, "shape": [...], "conds": {...}, "efficient": true}
    {"vae": {"TENSOR": [SHAPE]}, "decode": [...]} or {"vae": ..., "encode": [...]}
The answer is a JSON list of bytes, for numbers of two bytes.
"""

import json
import sys
from types import SimpleNamespace

sys.path.insert(0, sys.argv[1])
sys.argv[1:] = ["--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import torch  # noqa: E402

import comfy.model_management  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.supported_models  # noqa: E402

NUMBER = torch.float16


def work_of_model(question):
    kind = getattr(comfy.supported_models, question["model"])
    config = kind({"disable_unet_model_creation": True, "in_channels": 4, **question["config"]})
    model = config.get_model({}, device="meta")
    model.diffusion_model = SimpleNamespace(dtype=NUMBER)
    model.manual_cast_dtype = None
    comfy.model_management.xformers_enabled = lambda: question["efficient"]
    return model.memory_required(question["shape"], cond_shapes=question.get("conds", {}))


def work_of_vae(question):
    tensors = {name: torch.empty(shape, device="meta") for name, shape in question["vae"].items()}
    with torch.device("meta"):
        vae = comfy.sd.VAE(sd=tensors)
    if "decode" in question:
        return vae.memory_used_decode(question["decode"], NUMBER)
    return vae.memory_used_encode(question["encode"], NUMBER)


def main():
    torch.nn.Module.load_state_dict = lambda *_, **__: ([], [])
    questions = json.load(sys.stdin)
    print(json.dumps([work_of_model(one) if "model" in one else work_of_vae(one) for one in questions]))


if __name__ == "__main__":
    main()
