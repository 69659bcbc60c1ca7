#!/usr/bin/env bash
# A handler's result that is not JSON is never reported to RunPod: the job neither fails nor completes.
#
# Guess: One would expect that a result which cannot be serialised (a NumPy scalar, bytes, half of a surrogate pair from
# a tokenizer) makes the job fail with an error, as an exception in the handler does.
#
# Behaviour: the result is serialised where it is sent, outside the guard around the handler. The TypeError is logged
# and dropped, the worker says "Finished." and takes the next job; nothing is ever posted for this one, which the caller
# sees IN_PROGRESS until the platform's time limit. A lone surrogate vanishes likewise. NaN is posted, as the word NaN,
# which is not JSON either. A handler has to serialise its result by itself, with allow_nan=False, before it returns.
#
# Source: RunPod's documentation of handlers says that the returned value becomes the output, and that errors of the
# handler are reported; runpod/serverless/modules/rp_http.py catches TypeError and RuntimeError after the fact.
#
# Versions: runpod 1.12.0, NumPy 2.3.5, Python 3.11; the platform's side is a small server here. Date: 2026-12-01.
# Output seen:
#   raises: posted an error with no such film
#   numpy: posted nothing
#   bytes: posted nothing
#   surrogate: posted nothing
#   nan: posted {"output": {"score": NaN}}
#   good: posted {"output": {"score": 0.5}}
#   logged of numpy: Error while returning job result. | Object of type float32 is not JSON serializable; Finished.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check runpod==1.12.0 numpy==2.3.5

cat > worker.py <<'PYTHON'
import numpy
import runpod

RESULTS = {
    "raises": None,
    "numpy": {"score": numpy.float32(0.5)},
    "bytes": {"thumbnail": b"JPEG"},
    "surrogate": {"text": "caf\ud83d"},
    "nan": {"score": float("nan")},
    "good": {"score": 0.5},
}


async def handler(job):
    if job["id"] == "raises":
        raise ValueError("no such film")
    return RESULTS[job["id"]]


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
PYTHON

venv/bin/python - <<'PYTHON'
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

waiting = ["raises", "numpy", "bytes", "surrogate", "nan", "good"]
posted = {}


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
        if "job-take" not in self.path or not waiting:
            time.sleep(0.2)
            return self.answer(204 if "job-take" in self.path else 200)
        return self.answer(200, json.dumps({"id": waiting.pop(0), "input": {"a": 1}}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        job = self.path.split("?")[0].rsplit("/", 1)[1]
        posted[job] = body
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
        if "good" in posted:
            time.sleep(5)  # no late attempt follows
            break
finally:
    os.killpg(worker.pid, 9)
with open("log") as log:
    lines = log.read()
posted["raises"] = "an error with " + ("no such film" if "no such film" in posted["raises"] else "something else")
for job in ("raises", "numpy", "bytes", "surrogate", "nan", "good"):
    print(f"{job}: posted {posted.get(job, 'nothing')}")
logged = [json.loads(line)["message"] for line in lines.splitlines() if line.startswith('{"requestId": "numpy"')]
print("logged of numpy:", "; ".join(message for message in logged if message.startswith(("Error", "Finished"))))
assert "Finished." in logged
assert set(posted) == {"raises", "nan", "good"}
assert posted["nan"] == '{"output": {"score": NaN}}'
assert posted["raises"].endswith("film")
PYTHON
echo "finding holds"
