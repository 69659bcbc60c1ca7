#!/usr/bin/env bash
# A job that reaches a stopping RunPod worker on the poll that is still open is taken and neither run nor reported.
#
# Guess: One would expect that a worker that was sent SIGTERM takes no more jobs, or runs those that it takes: the SDK
# says of its handler of that signal that it shuts down gracefully.
#
# Behaviour: the signal only sets a flag. What runs jobs ends within 0.1 s if none is running. What takes jobs waits for
# the answer to its poll, up to 90 s; a job in that answer is put into a queue that nobody reads any more. The worker
# then ends with status 0. To the platform the job is in progress until its time is over.
#
# Source: runpod/serverless/modules/rp_scale.py, JobScaler.run_jobs and get_jobs.
#
# Versions: runpod 1.12.0, Python 3.11; the platform's side is a small server here. Date: 2026-12-01.
# Output seen:
#   the worker took a job 1 s after SIGTERM and ended with status 0; results: 0
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check runpod==1.12.0

cat > worker.py <<'PYTHON'
import runpod


async def handler(job):
    return "answered"


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
PYTHON

cat > platform_side.py <<'PYTHON'
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

polled, hand_out = threading.Event(), threading.Event()
results = []


class Platform(BaseHTTPRequestHandler):
    """The platform's side of the SDK's protocol: holds each poll, takes results."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if "job-take" in self.path:
            polled.set()
            hand_out.wait()
            return self.answer(200, json.dumps({"id": "late", "input": {"a": 1}}).encode())
        if "job-stop" in self.path:
            hand_out.wait()
        return self.answer(200)

    def do_POST(self):
        results.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v2/ep"
environment = os.environ | {
    "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=X",
    "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=X",
    "RUNPOD_AI_API_KEY": "key", "RUNPOD_POD_ID": "worker", "RUNPOD_ENDPOINT_ID": "ep",
    "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true", "RUNPOD_SKIP_GPU_CHECK": "true", "RUNPOD_LOG_LEVEL": "INFO",
}
with open("log", "w") as log:
    worker = subprocess.Popen([sys.executable, "worker.py"], env=environment, stdout=log, stderr=log)
assert polled.wait(60)
worker.terminate()
threading.Event().wait(1)
hand_out.set()
status = worker.wait(60)
print(f"the worker took a job 1 s after SIGTERM and ended with status {status}; results: {len(results)}")
assert (status, results) == (0, [])
PYTHON
venv/bin/python platform_side.py
echo "finding holds"
