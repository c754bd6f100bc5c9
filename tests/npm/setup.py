"""Installs Node.js and the MCP clients from npm that the tests run, once per machine.

Keeps about 250 MB in MMF_NPM_CACHE, or else in mmf-npm under the user's cache folder, in a folder
named by the pins that it was made of; folders unused for two weeks go. Any number of processes may
run this at once. The one line printed is the folder, for the tests' MMF_NPM.

Usage: setup.py        needs Python 3.9 or newer with venv
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
PINS = [HERE / name for name in ("requirements.txt", "package.json", "package-lock.json", "setup.py")]
UNUSED_SECONDS = 14 * 24 * 3600


def say(text):
    print(f"npm: {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a step; its output goes to standard error, which leaves standard output to the answer."""
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr, **options)


def cache_root():
    if given := os.environ.get("MMF_NPM_CACHE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "mmf-npm"


def make(folder):
    run(sys.executable, "-m", "venv", folder / "venv")
    tools = folder / "venv" / "bin"
    pip = (tools / "python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    run(*pip, "install", "--quiet", "--no-cache-dir", "--no-deps", "-r", PINS[0])
    for pin in PINS[1:3]:
        shutil.copy(pin, folder)
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    run(tools / "npm", "ci", *options, cwd=folder, env={**os.environ, "PATH": path})
    # The inspector's command line reads its name and version from the package that usually holds it.
    holder = {"name": "@modelcontextprotocol/inspector", "version": "1.0.3"}
    (folder / "node_modules" / holder["name"]).parent.joinpath("package.json").write_text(json.dumps(holder))


def set_up(root):
    digest = hashlib.sha256(b"\0".join(pin.read_bytes() for pin in PINS)).hexdigest()[:12]
    folder = root / f"clients-{digest}"
    stamp = folder / "finished"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        say(f"making {folder}")
        make(folder)
    stamp.touch()
    for other in root.glob("clients-*/finished"):
        if time.time() - other.stat().st_mtime > UNUSED_SECONDS:
            say(f"removing {other.parent}, unused for two weeks")
            shutil.rmtree(other.parent, ignore_errors=True)
    return folder


def main():
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(set_up(root))
        except subprocess.CalledProcessError as failed:
            sys.exit(f"npm: this step failed with status {failed.returncode}: {' '.join(map(str, failed.cmd))}")


if __name__ == "__main__":
    main()
