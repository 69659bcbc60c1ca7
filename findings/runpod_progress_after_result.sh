#!/usr/bin/env bash
# Progress updates of the RunPod SDK overtake each other, and arrive after the job's result.
#
# Guess: One would expect that three calls of progress_update, followed by the handler's return, reach the platform in
# this order: the calls are made one after the other in one thread, and the SDK has one session to the platform.
#
# Behaviour: every call starts a daemon thread with an event loop, a session and a connection of its own, and returns
# before anything is sent; the result goes out over the session that is open already. Nothing orders them and nothing
# can wait for them. The platform gets updates in another order, most often after the final result, and posted to the
# address of the result with "status": "IN_PROGRESS". Of 20 jobs with three updates each, 19 had one that came after the
# result. A worker has to post its updates by itself, one at a time, and to wait for the last before it returns.
#
# Source: RunPod's documentation of handlers shows numbered updates in a loop before a return, and says nothing of their
# order; runpod/serverless/modules/rp_progress.py starts the thread. A finished job that stayed IN_PROGRESS was
# reported as runpod-python issue 250.
#
# Versions: runpod 1.12.0, Python 3.11; the platform's side is a small server here. Date: 2026-12-01.
# Output seen (counts vary):
#   arrived in the first jobs: result 1 0 2; 1 0 result 2; 0 1 result 2
#   of 20 jobs, 19 had progress after their result, 11 had progress out of order
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check runpod==1.12.0

cat > worker.py <<'PYTHON'
import runpod


async def handler(job):
    for step in range(3):
        runpod.serverless.progress_update(job, {"step": step})
    return "result"


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

JOBS = 20
waiting = [f"job-{number}" for number in range(JOBS)]
arrived = {job: [] for job in waiting}
lock = threading.Lock()


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
        if "job-take" not in self.path:
            return self.answer(200, b"{}")
        with lock:
            previous = JOBS - len(waiting) - 1
            is_free = previous < 0 or len(arrived[f"job-{previous}"]) == 4
            job = waiting.pop(0) if waiting and is_free else None
        if job is None:
            time.sleep(0.1)
            return self.answer(204)
        return self.answer(200, json.dumps({"id": job, "input": {"a": 1}}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        job = self.path.split("?")[0].rsplit("/", 1)[1]
        update = json.loads(body)
        with lock:
            arrived[job].append(update["output"]["step"] if update.get("status") == "IN_PROGRESS" else "result")
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
    for _ in range(900):
        time.sleep(0.1)
        with lock:
            if all(len(one) == 4 for one in arrived.values()):
                break
finally:
    os.killpg(worker.pid, 9)
first = ("job-0", "job-1", "job-2")
print("arrived in the first jobs:", "; ".join(" ".join(map(str, arrived[job])) for job in first))
late = sum(one[-1] != "result" for one in arrived.values())
steps = [[step for step in one if step != "result"] for one in arrived.values()]
mixed = sum(sorted(one) != one for one in steps)
print(f"of {JOBS} jobs, {late} had progress after their result, {mixed} had progress out of order")
assert all(sorted(map(str, one)) == ["0", "1", "2", "result"] for one in arrived.values())
assert late > 0
PYTHON
echo "finding holds"
