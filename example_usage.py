"""Every way to ask the endpoint about a video, with the `runpod` SDK.

    export RUNPOD_ENDPOINT_ID=... RUNPOD_API_KEY=...
    python example_usage.py poll --video-url https://example.com/talk.mp4 --prompt "What is shown, and when?"

sync    one call that returns the answer
poll    submit the job, then show its progress until the answer is ready
async   the same from an asyncio program
errors  tell apart the ways in which a job can fail
cancel  give up on a job that takes too long
batch   many videos at once

RUNPOD_ENDPOINT_BASE_URL makes all of them use another platform, such as the local one that
`PYTHONPATH=tests python -m runpod_stand_in` starts.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import requests
import runpod

UNFINISHED = ("IN_QUEUE", "IN_PROGRESS")
ANSWER_TIMEOUT_S = 3600


def sync(endpoint: runpod.Endpoint, job_input: dict[str, Any]) -> None:
    """Ask with a single call. If the job fails, `run_sync` returns None and drops the reason; `errors` keeps it.

    The platform keeps the result of a synchronous job for only one minute; `poll` suits long videos better.
    """
    output = endpoint.run_sync(job_input, timeout=ANSWER_TIMEOUT_S)
    if output is None:
        sys.exit("the job failed")
    print_answer(output)


def poll(endpoint: runpod.Endpoint, job_input: dict[str, Any], interval_s: float) -> None:
    """Submit the job, then fetch its state until it has ended. The result is kept for 30 minutes."""
    job = endpoint.run(job_input)
    print(f"submitted as {job.job_id}")
    while (state := fetch_state(endpoint, job))["status"] in UNFINISHED:
        print_progress(state)
        time.sleep(interval_s)
    if state["status"] != "COMPLETED":
        sys.exit(f"{state['status']}: {state.get('error')}")
    print_answer(state["output"])


async def with_asyncio(endpoint_id: str, api_key: str, job_input: dict[str, Any]) -> None:
    """Wait for the answer without blocking an asyncio program."""
    async with aiohttp.ClientSession() as session:
        endpoint = runpod.AsyncioEndpoint(endpoint_id, session, api_key=api_key)
        job = await endpoint.run(job_input)
        output = await job.output(timeout=ANSWER_TIMEOUT_S)  # the default, 0, raises TimeoutError at once
        if output is None:
            sys.exit(f"the job ended as {await job.status()}")
        print_answer(output)


def errors(endpoint: runpod.Endpoint, job_input: dict[str, Any], interval_s: float) -> None:
    """Tell apart a refused request, a failed job, a partial answer and a complete one."""
    try:
        job = endpoint.run(job_input)
    except RuntimeError as refused:  # the SDK's form of HTTP 401
        sys.exit(f"check the API key: {refused}")
    except requests.HTTPError as refused:
        sys.exit(f"check the endpoint id and the size of the input (10 MB at most): {refused}")
    except requests.ConnectionError as unreachable:
        sys.exit(f"the platform cannot be reached: {unreachable}")

    while (state := fetch_state(endpoint, job))["status"] in UNFINISHED:
        time.sleep(interval_s)
    match state["status"]:
        case "FAILED":
            code, _, sentence = state.get("error", "").partition(": ")
            sys.exit(f"the worker refused or failed the job; code {code}: {sentence}")
        case "TIMED_OUT":
            sys.exit("the endpoint's execution timeout passed; raise it, or split the video")
        case "CANCELLED":
            sys.exit("somebody cancelled the job")

    answer = state["output"]
    for chunk in answer["chunk_results"]:
        if chunk["error"]:
            print(f"nothing is known about {chunk['start_s']:.0f}-{chunk['end_s']:.0f} s: {chunk['error']}")
    print_answer(answer)


def cancel(endpoint: runpod.Endpoint, job_input: dict[str, Any], interval_s: float, patience_s: float) -> None:
    """Cancel a job that does not end within `patience_s`. A cancelled job frees the GPU and has no result."""
    job = endpoint.run(job_input)
    give_up_s = time.monotonic() + patience_s
    while (state := fetch_state(endpoint, job))["status"] in UNFINISHED:
        if time.monotonic() >= give_up_s:
            job.cancel()
        time.sleep(interval_s)
    print(f"the job ended as {state['status']}")


def batch(endpoint: runpod.Endpoint, job_inputs: Sequence[dict[str, Any]], interval_s: float) -> None:
    """Submit all videos before waiting for the first, which lets the platform spread them over its workers."""
    waiting = {endpoint.run(job_input): job_input["video_url"] for job_input in job_inputs}
    while waiting:
        for job, video_url in list(waiting.items()):
            state = fetch_state(endpoint, job)
            if state["status"] in UNFINISHED:
                continue
            del waiting[job]
            print(f"== {video_url}")
            if state["status"] == "COMPLETED":
                print_answer(state["output"])
            else:
                print(f"{state['status']}: {state.get('error')}")
        if waiting:
            time.sleep(interval_s)


def fetch_state(endpoint: runpod.Endpoint, job: runpod.endpoint.Job) -> dict[str, Any]:
    """Return the platform's state of a job: `status`, `output` (the progress, while it runs) and `error`.

    The SDK's `job.status()` and `job.output()` each make a request of their own, and neither returns the error.
    """
    state: dict[str, Any] = endpoint.rp_client.get(f"{endpoint.endpoint_id}/status/{job.job_id}")
    return state


def print_progress(state: dict[str, Any]) -> None:
    """Print one line about a job that has not ended; before the worker's first update there is no progress."""
    progress = state.get("output")
    if progress is None:
        print(state["status"])
        return
    chunks = f"{progress['chunks_done']} of {progress['num_chunks']} chunks"
    print(f"{progress['fraction']:4.0%}  {progress['stage']}  {chunks}  {progress['message']}")


def print_answer(output: dict[str, Any]) -> None:
    """Print the chunks' answers, and the merged answer if the job asked for one."""
    duration_s = output["video_info"]["duration"]
    print(f"{output['status']}: {output['coverage']:.0%} of {duration_s:.1f} s seen in {output['num_chunks']} chunks")
    for chunk in output["chunk_results"]:
        print(f"[{chunk['start_s']:.1f}-{chunk['end_s']:.1f} s] {chunk['text'] or chunk['error']}")
    if output["aggregated_response"]:
        print(output["aggregated_response"])
    print(f"took {output['total_processing_time']:.1f} s; usage {output['usage']}")


def job_input_of(arguments: argparse.Namespace, video_url: str) -> dict[str, Any]:
    """Return a job's input. Fields that were not given are left out, so the worker's defaults apply."""
    names = ("prompt", "max_tokens", "temperature", "top_p", "chunk_duration", "aggregate")
    given = {name: getattr(arguments, name) for name in names}
    return {"video_url": video_url} | {name: value for name, value in given.items() if value is not None}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; the environment provides the endpoint and the key if they are not given."""
    environment = os.environ
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--video-url", nargs="+", required=True, help="`batch` takes several")
    common.add_argument("--prompt", required=True)
    common.add_argument("--max-tokens", type=int)
    common.add_argument("--temperature", type=float)
    common.add_argument("--top-p", type=float)
    common.add_argument("--chunk-duration", type=float, help="seconds of video per chunk")
    common.add_argument("--aggregate", action=argparse.BooleanOptionalAction, default=None)
    common.add_argument("--interval-s", type=float, default=2.0, help="seconds between two requests for a job's state")
    common.add_argument("--patience-s", type=float, default=30.0, help="seconds after which `cancel` gives up")
    common.add_argument("--endpoint-id", default=environment.get("RUNPOD_ENDPOINT_ID"))
    common.add_argument(
        "--api-key", default=environment.get("RUNPOD_API_KEY"), help="preferably set in the environment instead"
    )
    common.add_argument("--base-url", default=runpod.endpoint_url_base)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    for way in ("sync", "poll", "async", "errors", "cancel", "batch"):
        ways.add_parser(way, parents=[common])
    arguments = parser.parse_args(argv)
    if not arguments.endpoint_id or not arguments.api_key:
        parser.error("set RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY, or give --endpoint-id and --api-key")
    if len(arguments.video_url) > 1 and arguments.way != "batch":
        parser.error(f"{arguments.way} takes one --video-url")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Run the subcommand that the command line names."""
    arguments = parse_arguments(argv)
    runpod.endpoint_url_base = arguments.base_url
    endpoint = runpod.Endpoint(arguments.endpoint_id, api_key=arguments.api_key)
    job_inputs = [job_input_of(arguments, video_url) for video_url in arguments.video_url]
    match arguments.way:
        case "sync":
            sync(endpoint, job_inputs[0])
        case "poll":
            poll(endpoint, job_inputs[0], arguments.interval_s)
        case "async":
            asyncio.run(with_asyncio(arguments.endpoint_id, arguments.api_key, job_inputs[0]))
        case "errors":
            errors(endpoint, job_inputs[0], arguments.interval_s)
        case "cancel":
            cancel(endpoint, job_inputs[0], arguments.interval_s, arguments.patience_s)
        case "batch":
            batch(endpoint, job_inputs, arguments.interval_s)


if __name__ == "__main__":
    main()
