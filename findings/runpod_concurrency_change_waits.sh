#!/usr/bin/env bash
# Raising a RunPod worker's concurrency stops it from taking any job until all running jobs are done.
#
# Guess: One would expect that a concurrency_modifier that goes from 2 to 4 under load lets the worker take two more
# jobs at once, and that running jobs do not matter: that is what the modifier is for.
#
# Behaviour: every change of the number, upwards too, first waits until no job is running, and takes none meanwhile.
# With one job of 8 s running and a place free, a second job that is waiting is taken only when the first one is over:
# the change costs more throughput than it gives. A constant is the only number that never stops the worker.
#
# Source: RunPod's documentation of concurrent handlers shows a modifier that changes the number by the load from call
# to call; runpod/serverless/modules/rp_scale.py, JobScaler.set_scale, waits for the occupancy to become 0.
#
# Versions: runpod 1.12.0, Python 3.11; the platform's side is a small server here. Date: 2026-12-01.
# Output seen (seconds after the first job was taken):
#   concurrency stays 2: second job done at 2.1 s, first job done at 8.1 s
#   concurrency 2 to 4: second job done at 9.1 s, first job done at 8.1 s
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check runpod==1.12.0

cat > worker.py <<'PYTHON'
import asyncio
import os

import runpod


async def handler(job):
    await asyncio.sleep(8 if job["id"] == "first" else 0)
    return job["id"]


def concurrency(current):
    return 4 if os.environ["CHANGES"] == "yes" and os.path.exists("taken") else 2


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "concurrency_modifier": concurrency})
PYTHON

cat > platform_side.py <<'PYTHON'
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

waiting = ["first", "second"]
done = {}
started = None


class Platform(BaseHTTPRequestHandler):
    """The platform's side of the SDK's protocol: hands out jobs, takes results."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        global started
        is_take = "job-take" in self.path
        if is_take and waiting and (waiting[0] == "first" or time.monotonic() > started + 2):
            if started is None:
                started = time.monotonic()
                open("taken", "w").close()
            job = {"id": waiting.pop(0), "input": {"a": 1}}
            return self.answer(200, json.dumps([job] if "batch" in self.path else job).encode())
        time.sleep(0.2)
        return self.answer(204 if is_take else 200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        job = self.path.split("?")[0].rsplit("/", 1)[1]
        done[job] = time.monotonic() - started
        self.answer(200)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v2/ep"
environment = os.environ | {
    "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=X",
    "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=X",
    "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=X",
    "RUNPOD_AI_API_KEY": "key", "RUNPOD_POD_ID": "worker", "RUNPOD_ENDPOINT_ID": "ep",
    "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true", "RUNPOD_SKIP_GPU_CHECK": "true", "RUNPOD_LOG_LEVEL": "INFO",
}
with open("log", "w") as log:
    worker = subprocess.Popen([sys.executable, "worker.py"], env=environment, stdout=log, stderr=log,
                              start_new_session=True)
try:
    for _ in range(600):
        time.sleep(0.1)
        if len(done) == 2:
            break
finally:
    os.killpg(worker.pid, 9)
change = "2 to 4" if os.environ["CHANGES"] == "yes" else "stays 2"
print(f"concurrency {change}: second job done at {done['second']:.1f} s, first job done at {done['first']:.1f} s")
assert (done["second"] > done["first"]) == (os.environ["CHANGES"] == "yes")
PYTHON
CHANGES=no venv/bin/python platform_side.py
rm taken
CHANGES=yes venv/bin/python platform_side.py
echo "finding holds"
