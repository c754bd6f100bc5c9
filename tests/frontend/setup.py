"""Records what ComfyUI's own editor makes of its templates, once per machine and set of versions.

Installs the editor, the templates and, where there is none, a browser (Debian's chromium, as root),
starts the rig's ComfyUI and records (see record.py). Downloads about 100 MB, keeps about 200 MB in
MMF_FRONTEND_CACHE, or else in mmf-frontend under the user's cache folder, in folders named by what
they were made of; those unused for two weeks go. Any number of processes may run this at once. The
one line printed is the folder of the recording, for the tests' MMF_FRONTEND.

Usage: setup.py        needs what tests/rig/setup.py needs
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
RIG = HERE.parent / "rig" / "setup.py"
PINS = HERE / "requirements.txt"
RECORDERS = [HERE / name for name in ("record.py", "page.js")]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
UNUSED_SECONDS = 14 * 24 * 3600


class Missing(Exception):
    """Something this machine lacks, in words that say how to get it."""


def say(text):
    print(f"frontend: {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a step; its output goes to standard error, which leaves standard output to the answer."""
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr, **options)


def cache_root():
    if given := os.environ.get("MMF_FRONTEND_CACHE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "mmf-frontend"


def find_browser():
    for _ in range(2):
        for name in BROWSERS:
            if found := shutil.which(name):
                return found
        if not shutil.which("apt-get") or os.geteuid() != 0:
            break
        say("installing chromium")
        run("apt-get", "update", "-qq")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", env=quiet)
    raise Missing(f"none of {', '.join(BROWSERS)} on PATH (Debian: apt-get install chromium)")


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


def install(folder):
    run(sys.executable, "-m", "venv", folder / "venv")
    pip = (folder / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    run(*pip, "install", "--quiet", "--no-cache-dir", "--no-deps", "-r", PINS)


def set_up(root):
    answer = subprocess.run([sys.executable, str(RIG)], check=True, stdout=subprocess.PIPE, text=True).stdout
    rig = json.loads(answer.splitlines()[-1])
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    packages = made_once(root / name_of("packages", version, PINS), install)
    name = name_of("recording", PINS, Path(rig["comfyui"]).parent.name, *RECORDERS)
    python = packages / "venv" / "bin" / "python"

    def record(folder):
        run(python, HERE / "record.py", folder, rig["python"], rig["comfyui"], find_browser())

    recording = made_once(root / name, record)
    for stamp in root.glob("*-*/finished"):
        if time.time() - stamp.stat().st_mtime > UNUSED_SECONDS:
            say(f"removing {stamp.parent}, unused for two weeks")
            shutil.rmtree(stamp.parent, ignore_errors=True)
    return recording


def main():
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(set_up(root))
        except Missing as missing:
            sys.exit(f"frontend: {missing}")
        except subprocess.CalledProcessError as failed:
            sys.exit(f"frontend: this step failed with status {failed.returncode}: {' '.join(map(str, failed.cmd))}")


if __name__ == "__main__":
    main()
