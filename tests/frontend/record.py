"""Records what ComfyUI's own editor makes of graphs, in a headless browser.

Writes into a folder:
  object_info.json   the node classes of the server that the editor was connected to
  corpus.jsonl       a line for each graph: {name, sha256, ui, api} or {name, sha256, ui, error}, with
                     `later` where the editor gave another prompt a moment after the first

The names tell where a graph is from: `official/` the templates of the installed version, `saved/`
the same as the editor saves them beside the prompt, `drawn/` as it draws them from their prompts.

Usage: record.py FOLDER PYTHON COMFYUI_FOLDER CHROMIUM     in the virtual environment of setup.py
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from websockets.sync.client import connect

HERE = Path(__file__).resolve().parent
READY_WITHIN_SECONDS = 240
GRAPH_WITHIN_SECONDS = 30
# Every graph stays open in a tab of the editor, which makes it slower and slower.
GRAPHS_PER_PAGE = 80
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Hung(Exception):
    """The page crashed or does not answer."""


def say(text):
    print(f"frontend: {text}", file=sys.stderr, flush=True)


def until(ask, what, seconds=READY_WITHIN_SECONDS):
    """Asks again until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
            problem = "no answer"
        except (OSError, ValueError, LookupError) as error:
            problem = error
        if time.monotonic() > deadline:
            raise Hung(f"{what}: not there after {seconds} s: {problem}")
        time.sleep(0.05)


def get(url):
    with DIRECT.open(url, timeout=60) as answer:
        return answer.read()


@contextlib.contextmanager
def process(command, log, **options):
    with open(log, "wb") as output:
        started = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, **options)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@contextlib.contextmanager
def server(python, comfyui, packages, base):
    """A ComfyUI with all of its own nodes, those of its partners included, and its editor."""
    for folder in ("custom_nodes", "input", "models", "output", "temp", "user"):
        (base / folder).mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, comfyui / "main.py", "--cpu", "--listen", "127.0.0.1", "--port", port]
    command += ["--base-directory", base, "--disable-all-custom-nodes"]
    command += ["--front-end-root", packages / "comfyui_frontend_package" / "static"]
    command += ["--database-url", f"sqlite:///{base / 'user' / 'comfyui.db'}"]
    url = f"http://127.0.0.1:{port}"
    with process(command, base / "comfyui.log", cwd=base) as running:
        def answers():
            if running.poll() is not None:
                raise Hung(f"ComfyUI ended:\n{(base / 'comfyui.log').read_text()[-4000:]}")
            return get(f"{url}/object_info")

        yield url, until(answers, "ComfyUI")


class Page:
    """The editor in a browser of its own."""

    def __init__(self, chromium, url):
        self.kept = contextlib.ExitStack()
        self.calls = 0
        try:
            self.open(chromium, url)
        except BaseException:
            self.close()
            raise

    def open(self, chromium, url):
        profile = Path(self.kept.enter_context(tempfile.TemporaryDirectory(prefix="mmf-page-", ignore_cleanup_errors=True)))
        # The page must not depend on what is out there, nor on the root user's lack of a sandbox.
        command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server"]
        command += ["--no-first-run", "--disable-extensions", "--window-size=640,480", "--lang=en-US", url]
        self.kept.enter_context(process(command, profile / "log", env={**os.environ, "TZ": "UTC"}))
        port = until(lambda: (profile / "DevToolsActivePort").read_text().split()[0], "the browser")

        def target():
            found = json.loads(get(f"http://127.0.0.1:{port}/json/list"))
            return next((it["webSocketDebuggerUrl"] for it in found if it["type"] == "page"), None)

        address = until(target, "the page")
        self.socket = self.kept.enter_context(connect(address, max_size=None, proxy=None, compression=None))
        script = (HERE / "page.js").read_text()
        until(lambda: self.evaluate(f"{script}; window.mmf.isReady()"), "the editor")

    def evaluate(self, expression, seconds=GRAPH_WITHIN_SECONDS):
        self.calls += 1
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        deadline = time.monotonic() + seconds
        try:
            self.socket.send(json.dumps({"id": self.calls, "method": "Runtime.evaluate", "params": params}))
            while True:
                message = json.loads(self.socket.recv(timeout=max(0.0, deadline - time.monotonic())))
                if message.get("id") == self.calls:
                    break
        except Exception as error:
            raise Hung(f"the page does not answer: {error!r}") from error
        if "exceptionDetails" in message.get("result", {}):
            return None
        return message["result"]["result"].get("value")

    def close(self):
        self.kept.close()


class Editor:
    """A page that is opened again when it hangs."""

    def __init__(self, chromium, url):
        self.chromium, self.url = chromium, url
        self.page = Page(chromium, url)
        self.asked = 0

    def ask(self, function, value):
        self.asked += 1
        if self.asked % GRAPHS_PER_PAGE == 0:
            self.page.close()
            self.page = Page(self.chromium, self.url)
        try:
            answer = self.page.evaluate(f"window.mmf.{function}({json.dumps(json.dumps(value))})")
            return json.loads(answer) if answer else {"error": "no answer"}
        except Hung as hung:
            say(f"opening the page again: {hung}")
            self.page.close()
            self.page = Page(self.chromium, self.url)
            return {"error": str(hung)}


def official(packages):
    """The templates of the installed packages, by name."""
    files = packages.glob("comfyui_workflow_templates_*/templates/*.json")
    graphs = {file.stem: json.loads(file.read_bytes()) for file in files if not file.stem.startswith("index")}
    return {f"official/{name}": graph for name, graph in sorted(graphs.items()) if "nodes" in graph}


def record(editor, graphs, write):
    """Writes what the editor makes of the graphs, and the same as it saves and draws them itself."""
    began = time.monotonic()
    failed = 0
    for name, graph in graphs.items():
        answer = editor.ask("convert", graph)
        saved = answer.pop("saved", None)
        write(name, {"ui": graph, **answer})
        failed += "error" in answer
        if saved:
            rest = name.split("/", 1)[1]
            write(f"saved/{rest}", {"ui": saved, **answer})
            drawn = editor.ask("draw", answer["api"])
            if "ui" in drawn:
                write(f"drawn/{rest}", drawn)
    say(f"{len(graphs)} graphs in {time.monotonic() - began:.0f} s, {failed} of them can't be converted")


def main(folder, python, comfyui, chromium):
    # So that an end from outside ends the server and the browser, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("frontend: ended from outside"))
    packages = Path(site.getsitepackages()[0])
    # A crashed run's base folder is in the way of nothing.
    base = Path(tempfile.mkdtemp(prefix="mmf-frontend-"))
    try:
        with server(python, Path(comfyui), packages, base) as (url, nodes):
            (Path(folder) / "object_info.json").write_bytes(nodes)
            editor = Editor(chromium, url)
            with open(Path(folder) / "corpus.jsonl", "w") as corpus:
                def write(name, case):
                    text = json.dumps(case["ui"], sort_keys=True).encode()
                    corpus.write(json.dumps({"name": name, "sha256": hashlib.sha256(text).hexdigest(), **case}) + "\n")

                record(editor, official(packages), write)
            editor.page.close()
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
