"""Nodes that let a test hold a job open, fail it, or read back what arrived, on the real ComfyUI."""

import time
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths

TICK_SECONDS = 0.02


class AnyType(str):
    """A type that links to every other one."""

    def __ne__(self, other):
        return False


ANY = AnyType("*")


def check_interrupted():
    comfy.model_management.throw_exception_if_processing_interrupted()


class MmfText:
    """Gives its text back, and shows it."""

    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "mmf test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "", "multiline": True})}}

    def run(self, text):
        return {"ui": {"text": [text]}, "result": (text,)}


class MmfSeedEcho:
    """Gives its seed back as decimal text, all 64 bits of it."""

    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "mmf test"

    @classmethod
    def INPUT_TYPES(cls):
        limits = {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}
        return {"required": {"seed": ("INT", limits)}}

    def run(self, seed):
        return {"ui": {"text": [str(seed)]}, "result": (str(seed),)}


class MmfSleep:
    """Takes `seconds`, with a progress message after each of `steps` equal parts."""

    OUTPUT_NODE = True
    RETURN_TYPES = (ANY,)
    FUNCTION = "run"
    CATEGORY = "mmf test"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0, "step": 0.01}),
                "steps": ("INT", {"default": 10, "min": 1, "max": 1000}),
            },
            "optional": {"value": (ANY,)},
        }

    def run(self, seconds, steps, value=None):
        progress = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            end = time.monotonic() + seconds / steps
            while (left := end - time.monotonic()) > 0:
                check_interrupted()
                time.sleep(min(left, TICK_SECONDS))
            check_interrupted()
            progress.update(1)
        return (value,)


class MmfHold:
    """Runs until the file `gates/<gate>` exists in the input folder: the test says when."""

    OUTPUT_NODE = True
    RETURN_TYPES = (ANY,)
    FUNCTION = "run"
    CATEGORY = "mmf test"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"gate": ("STRING", {"default": "gate"})},
            "optional": {"value": (ANY,)},
        }

    def run(self, gate, value=None):
        comfy.utils.ProgressBar(2).update(1)
        key = Path(folder_paths.get_input_directory(), "gates", gate)
        while not key.exists():
            check_interrupted()
            time.sleep(TICK_SECONDS)
        return (value,)


class MmfFail:
    """Fails with `message`; as `kind` out_of_memory the way a full GPU does."""

    OUTPUT_NODE = True
    RETURN_TYPES = (ANY,)
    FUNCTION = "run"
    CATEGORY = "mmf test"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "message": ("STRING", {"default": "it was told to"}),
                "kind": (["value_error", "out_of_memory"],),
            },
            "optional": {"value": (ANY,)},
        }

    def run(self, message, kind, value=None):
        if kind == "out_of_memory":
            raise comfy.model_management.OOM_EXCEPTION(message)
        raise ValueError(message)


class MmfEven:
    """Accepts even numbers only, by a validator of its own."""

    OUTPUT_NODE = True
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "mmf test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT", {"default": 0, "min": -1000, "max": 1000})}}

    @classmethod
    def VALIDATE_INPUTS(cls, number):
        return True if number % 2 == 0 else f"{number} is odd"

    def run(self, number):
        return {"ui": {"text": [str(number)]}, "result": (number,)}


NODE_CLASS_MAPPINGS = {
    cls.__name__: cls for cls in (MmfText, MmfSeedEcho, MmfSleep, MmfHold, MmfFail, MmfEven)
}
