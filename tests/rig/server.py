"""Runs the real ComfyUI for a test process, and ends with it.

Standard input is the leash: when it closes, however the test process ended, the server removes its
base folder and is gone. Standard output carries one line, `ready URL`, once requests are answered;
all else goes to standard error.

Usage: server.py COMFYUI_FOLDER BASE_FOLDER PORT [COMFYUI_OPTION...]   (port 0: any free one)
"""

import errno
import json
import os
import runpy
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

READY_WITHIN_SECONDS = 240
PORT_WITHIN_SECONDS = 5
NODE_PACKS = ("mmf_test_nodes.py", "websocket_image_save.py")


def end_with_the_test(base):
    while os.read(0, 4096):
        pass
    # More than once, because the server is still at work and may add a file meanwhile.
    for _ in range(100):
        shutil.rmtree(base, ignore_errors=True)
        if not os.path.exists(base):
            break
        time.sleep(0.02)
    os._exit(0)


def announce_when_ready(url, base, status):
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with direct.open(f"{url}/system_stats", timeout=10) as answer:
                argv = json.load(answer)["system"]["argv"]
            if base not in argv:
                raise OSError(f"another server answers on {url}: {argv}")
            break
        except (urllib.error.URLError, OSError, ValueError, KeyError) as problem:
            if time.monotonic() > deadline:
                print(f"not ready after {READY_WITHIN_SECONDS} s: {problem}", file=sys.stderr, flush=True)
                os._exit(1)
            time.sleep(0.05)
    os.write(status, f"ready {url}\n".encode())
    os.close(status)


def hold_port(port):
    """A socket bound to the port, or to any free one: nobody can take it before ComfyUI listens."""
    held = socket.socket()
    # Both the server that is killed and the one after it need this: connections outlive the former.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + PORT_WITHIN_SECONDS
    while True:
        try:
            held.bind(("127.0.0.1", port))
            return held
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def listen_on(held):
    """Lets ComfyUI listen on this socket instead of opening the port itself."""
    from aiohttp import web

    web.TCPSite = lambda runner, *_address, **options: web.SockSite(runner, held, **options)


def main(comfyui, base, port, options):
    # More threads make these tiny models ten times slower when the tests keep all cores busy.
    os.environ["OMP_NUM_THREADS"] = "1"
    held = hold_port(int(port))
    port = held.getsockname()[1]
    status = os.dup(1)
    os.dup2(2, 1)
    threading.Thread(target=end_with_the_test, args=(base,), daemon=True).start()
    url = f"http://127.0.0.1:{port}"
    threading.Thread(target=announce_when_ready, args=(url, base, status), daemon=True).start()
    main_file = os.path.join(comfyui, "main.py")
    sys.argv = [main_file, "--cpu", "--listen", "127.0.0.1", "--port", str(port)]
    sys.argv += ["--base-directory", base, "--front-end-root", os.path.join(base, "web")]
    database = os.path.join(base, "user", "comfyui.db")
    sys.argv += ["--database-url", f"sqlite:///{database}", "--preview-method", "latent2rgb"]
    sys.argv += ["--disable-api-nodes", "--disable-all-custom-nodes", "--whitelist-custom-nodes"]
    sys.argv += [*NODE_PACKS, *options]
    sys.path[0] = comfyui
    os.chdir(base)
    listen_on(held)
    runpy.run_path(main_file, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
