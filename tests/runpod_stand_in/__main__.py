"""Serve until interrupted; print what a worker and a client have to export."""

import argparse
import shlex
import signal
import sys
import threading
from contextlib import suppress

from runpod_stand_in import RunPodStandIn


def main() -> None:
    parser = argparse.ArgumentParser(description="RunPod's serverless platform on loopback.")
    parser.add_argument("--port", type=int, default=18080)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    # An interrupt may come as soon as the lines below are read, so they are written where it is awaited.
    with RunPodStandIn(parser.parse_args().port) as platform, suppress(KeyboardInterrupt):
        lines = [f"# client API: {platform.url}/{platform.endpoint_id}", "", "# for: python src/handler.py"]
        lines += [f"export {key}={shlex.quote(value)}" for key, value in platform.worker_environment().items()]
        lines += ["", "# for: python example_usage.py"]
        lines += [f"export {key}={shlex.quote(value)}" for key, value in platform.client_environment().items()]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
