r"""Six ways to ask the endpoint about a video.

They use the `runpod` SDK:

    export RUNPOD_ENDPOINT_ID=... RUNPOD_API_KEY=...
    python example_usage.py poll \
        --video-url https://example.com/talk.mp4 \
        --prompt "What is shown, and when?"

sync    one call that waits for the answer
poll    submit the job, and show its progress
async   the same from an asyncio program
errors  tell apart the ways in which a job can fail
cancel  give up on a job that takes too long
batch   many videos at once

All of them ask for whatever a job can: several questions
(--prompt given again), a form of answer, or an estimate.
After the exports that `make serve` prints, these run:

    python example_usage.py poll \
        --video-url "$PWD"/.cache/sample-*.mp4 \
        --prompt "Which shapes?" --output events
    python example_usage.py sync \
        --video-url "$PWD"/.cache/sample-*.mp4 \
        --prompt "Which shapes?" --estimate

A job that was submitted runs and is paid for, whatever
happens to this program: its id is printed at once, and a
platform that does not answer for a while is asked again.

Instead of polling, a webhook can be called with the result.
Its URL goes beside the input:
endpoint.run({"input": {...}, "webhook": "https://..."}).

RUNPOD_ENDPOINT_BASE_URL makes all of them use another
platform, such as the one that `make serve` starts here.
"""

import argparse
import asyncio
import io
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    import aiohttp
    import requests
    import runpod
    from requests.adapters import HTTPAdapter, Retry
except ImportError as lacking:
    if not {"-h", "--help"} & set(sys.argv):
        sys.exit(
            f"{sys.executable} lacks a package of this script ({lacking.name}): "
            "`pip install runpod==1.12.0`, or use .venv/bin/python after `make setup`."
        )

UNFINISHED = ("IN_QUEUE", "IN_PROGRESS")
ANSWER_TIMEOUT_S = 3600.0
SYNC_REQUEST_TIMEOUT_S = 310.0
"""The platform answers /runsync after 5 minutes at the latest, with the job's state if it still runs."""
OUTAGE_S = 300.0
"""How long the platform may fail to tell a job's state before this program gives up."""
FIELDS = (
    "system_prompt", "max_tokens", "temperature", "top_p", "top_k", "presence_penalty", "stop", "chunk_duration",
    "aggregate", "start_time", "end_time", "sample_fps", "max_frames", "resolution", "sampling", "output",
    "response_schema", "estimate", "max_seconds", "max_cost_usd", "seed",
)  # fmt: skip
"""Fields of a job that are sent as they are given."""
HAPPENING = {"start_s", "end_s", "chunk", "confidence"}
ENTRIES = (HAPPENING | {"description"}, HAPPENING, {"start_s", "end_s", "title"})
"""The fields of an event, of a span, and of a chapter."""
INDENT = "  "


class NoState(Exception):
    """The platform could not tell the state of a job, as a sentence; the job may still run."""


def sync(endpoint: "runpod.Endpoint", job_input: dict[str, Any], interval_s: float) -> None:
    """Ask with a single call, and poll if the answer takes longer than the platform keeps a call open.

    The SDK's own `run_sync` is not used: it returns None for a failed job and drops the reason, its timeout counts
    requests instead of seconds, and it never tells the job's id. The result is kept for only one minute, so `poll`
    suits long videos better.
    """
    print("waiting in one call")
    path = f"{endpoint.endpoint_id}/runsync"
    state = endpoint.rp_client.post(path, {"input": job_input}, timeout=SYNC_REQUEST_TIMEOUT_S)
    print(f"submitted as {state['id']}")
    finish(wait_for_end(endpoint, state["id"], interval_s, state))


def poll(endpoint: "runpod.Endpoint", job_input: dict[str, Any], interval_s: float) -> None:
    """Submit the job, then fetch its state until it has ended. The result is kept for 30 minutes."""
    job = endpoint.run(job_input)
    print(f"submitted as {job.job_id}")
    finish(wait_for_end(endpoint, job.job_id, interval_s))


async def with_asyncio(endpoint_id: str, api_key: str, job_input: dict[str, Any], interval_s: float) -> None:
    """Wait for the answer without blocking an asyncio program.

    Without `raise_for_status` the SDK's client would look for the job's id in an error page. Unlike the other client it
    puts what it is given into an input, so `policy` and `webhook` cannot be sent with it.
    """
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        endpoint = runpod.AsyncioEndpoint(endpoint_id, session, api_key=api_key)
        job = await endpoint.run(job_input)
        print(f"submitted as {job.job_id}")
        url = f"{runpod.endpoint_url_base}/{endpoint_id}/status/{job.job_id}"
        printed, failing_since_s = "", None
        while True:
            try:
                async with session.get(url, headers=job.headers) as response:
                    state = await response.json()
            except (aiohttp.ClientError, TimeoutError) as failure:
                failing_since_s = failing_since_s or time.monotonic()
                give_up_after_outage(job.job_id, failing_since_s, failure)
            else:
                failing_since_s = None
                if state["status"] not in UNFINISHED:
                    break
                if (line := progress_line(state)) != printed:
                    print(printed := line)
            await asyncio.sleep(interval_s)
        finish(state)


def errors(endpoint: "runpod.Endpoint", job_input: dict[str, Any], interval_s: float) -> None:
    """Tell apart a failed job, one that the platform ended, a partial answer and a complete one.

    `main` tells apart what keeps a job from being submitted.
    """
    job = endpoint.run(job_input)
    print(f"submitted as {job.job_id}")
    state = wait_for_end(endpoint, job.job_id, interval_s)
    match state["status"]:
        case "FAILED":
            code, _, sentence = state.get("error", "").partition(": ")
            sys.exit(f"the worker refused or failed the job; code {code}: {sentence}")
        case "TIMED_OUT":
            sys.exit("the endpoint's execution timeout passed; raise it, or split the video")
        case "CANCELLED":
            sys.exit("somebody cancelled the job")

    answer = state["output"]
    for result in results_of(answer):
        for chunk in result["chunk_results"]:
            if chunk["error"]:
                print(f"nothing is known about {chunk['start_s']:.0f}-{chunk['end_s']:.0f} s: {chunk['error']}")
    print_answer(answer)


def cancel(endpoint: "runpod.Endpoint", job_input: dict[str, Any], interval_s: float, patience_s: float) -> None:
    """Cancel a job that does not end within `patience_s`. A cancelled job frees the GPU and has no result."""
    job = endpoint.run(job_input)
    print(f"submitted as {job.job_id}")
    print(f"waiting {patience_s:g} s for it")
    give_up_s = time.monotonic() + patience_s
    while (state := fetch_state(endpoint, job.job_id, interval_s))["status"] in UNFINISHED:
        if time.monotonic() >= give_up_s:
            job.cancel()
        time.sleep(interval_s)
    print(f"the job ended as {state['status']}")


def batch(endpoint: "runpod.Endpoint", job_inputs: Sequence[dict[str, Any]], interval_s: float) -> None:
    """Submit all videos before waiting for the first, and print each answer as soon as it is there.

    The platform can spread the jobs over its workers. What happens to one job does not keep the others' answers.
    """
    waiting = dict(filter(None, [submit(endpoint, job_input) for job_input in job_inputs]))
    answered = 0
    print(f"waiting for {len(waiting)} answers")
    while waiting:
        for job_id, video_url in list(waiting.items()):
            try:
                state = fetch_state(endpoint, job_id, interval_s)
            except NoState as unknown:
                state = {"status": "UNKNOWN", "error": str(unknown)}
            if state["status"] in UNFINISHED:
                continue
            del waiting[job_id]
            print(f"== {video_url}")
            if state["status"] == "COMPLETED":
                print_answer(state["output"])
                answered += 1
            else:
                print(f"{state['status']}: {state.get('error')}")
        if waiting:
            time.sleep(interval_s)
    if answered < len(job_inputs):
        sys.exit(f"{len(job_inputs) - answered} of {len(job_inputs)} videos were not answered")


def submit(endpoint: "runpod.Endpoint", job_input: dict[str, Any]) -> tuple[str, str] | None:
    """Submit one job of a batch; its id and its video, or None if the platform did not take it."""
    video_url = job_input["video_url"]
    try:
        job_id = endpoint.run(job_input).job_id
    except requests.RequestException as refused:
        print(f"== {video_url}\nnot submitted: {refusal(refused)}")
        return None
    print(f"submitted {video_url} as {job_id}")
    return job_id, video_url


def wait_for_end(
    endpoint: "runpod.Endpoint", job_id: str, interval_s: float, state: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the state of a job once it has ended, and print its progress whenever that changes."""
    printed, end_s = "", time.monotonic() + ANSWER_TIMEOUT_S
    state = state or fetch_state(endpoint, job_id, interval_s)
    while state["status"] in UNFINISHED:
        if time.monotonic() > end_s:
            sys.exit(f"no answer after {ANSWER_TIMEOUT_S:g} s; the job {job_id} may still run")
        if (line := progress_line(state)) != printed:
            print(printed := line)
        time.sleep(interval_s)
        state = fetch_state(endpoint, job_id, interval_s)
    return state


def fetch_state(endpoint: "runpod.Endpoint", job_id: str, interval_s: float) -> dict[str, Any]:
    """Return the platform's state of a job: `status`, `output` (the progress, while it runs) and `error`.

    The SDK's `job.status()` and `job.output()` each make a request of their own, neither returns the error, and the
    output of a running job is its progress.

    Raises:
        NoState: the platform has not told it for OUTAGE_S.
    """
    failing_since_s = time.monotonic()
    while True:
        try:
            state: dict[str, Any] = endpoint.rp_client.get(f"{endpoint.endpoint_id}/status/{job_id}")
        except requests.RequestException as failure:
            give_up_after_outage(job_id, failing_since_s, failure)
            time.sleep(interval_s)
        else:
            return state


def give_up_after_outage(job_id: str, failing_since_s: float, failure: Exception) -> None:
    """Say that the platform is asked again.

    Raises:
        NoState: it has failed for too long, or it will not answer another time either.
    """
    status = status_of(failure)
    if status in (401, 403, 404) or time.monotonic() - failing_since_s >= OUTAGE_S:
        raise NoState(f"the state of the job {job_id} is unknown, and it may still run: {refusal(failure)}")
    print(f"the platform does not tell the job's state ({refusal(failure)}); asking again")


def finish(state: dict[str, Any]) -> None:
    """Print the answer of a job that has ended, or end with the reason why there is none."""
    if state["status"] != "COMPLETED":
        sys.exit(f"{state['status']}: {state.get('error', 'the platform names no reason')}")
    print_answer(state["output"])


def progress_line(state: dict[str, Any]) -> str:
    """Return one line about a job that has not ended; before the worker's first update there is no progress."""
    progress = state.get("output")
    if not isinstance(progress, dict) or "fraction" not in progress:
        return str(state["status"])
    done, total = progress["chunks_done"], progress["num_chunks"]
    chunks = f"{done} of {total} chunks  " if total else ""  # unknown until the video was read
    return f"{progress['fraction']:4.0%}  {progress['stage']}  {chunks}{progress['message']}"


def results_of(output: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return what was found out about each question; after a single one it is the output itself."""
    if "estimate" in output:
        return []
    return output["results"] or [output]


def print_answer(output: dict[str, Any]) -> None:
    """Print the answers to each question and what they took, or an estimate."""
    seen_s = output["window"]["end_s"] - output["window"]["start_s"]
    if "estimate" in output:
        print(f"nothing was asked: this is an estimate for {seen_s:.1f} s in {output['num_chunks']} chunks")
        print_facts(output["estimate"])
    else:
        print(f"{output['status']}: {output['coverage']:.0%} of {seen_s:.1f} s seen in {output['num_chunks']} chunks")
    results = results_of(output)
    for number, result in enumerate(results, 1):
        if len(results) > 1:
            print(f"-- question {number}, {result['status']}: {result['prompt']}")
        print_result(result)
    for concession in output["concessions"]:
        print(f"note: {concession}")
    stages = ", ".join(f"{name.removesuffix('_s')} {time_s:.1f}" for name, time_s in output["timings"].items())
    print(f"took {output['total_processing_time']:.1f} s ({stages})")
    if "estimate" not in output:
        print_facts(output["cost"] | output["usage"])


def print_result(result: dict[str, Any]) -> None:
    """Print the chunks' answers to one question, and the merged answer if there is more than one of them."""
    chunks = result["chunk_results"]
    for chunk in chunks:
        answer = chunk["error"] or words_of(chunk["value"] if chunk["text"] is None else chunk["text"])
        print(
            f"[{chunk['start_s']:.1f}-{chunk['end_s']:.1f} s]", answer, sep="\n" if answer.startswith(INDENT) else " "
        )
    if result["aggregation_error"]:
        print(f"not merged: {result['aggregation_error']}")
    elif result["aggregated_response"] is not None and len(chunks) > 1:
        print(f"merged answer:\n{words_of(result['aggregated_response'])}")


def words_of(answer: Any) -> str:
    """Return a text as it is; events, spans and chapters one a line; and other JSON."""
    if isinstance(answer, str):
        return answer
    if answer == []:
        return "nothing"
    if isinstance(answer, list) and all(isinstance(one, dict) and one.keys() in ENTRIES for one in answer):
        return "\n".join(f"{INDENT}{entry_line(entry)}" for entry in answer)
    return json.dumps(answer, indent=2, ensure_ascii=False)


def entry_line(entry: dict[str, Any]) -> str:
    """Return one line about an event, a span or a chapter."""
    line = f"{entry['start_s']}-{entry['end_s']} s"
    if words := entry.get("description") or entry.get("title"):
        line += f"  {words}"
    if "confidence" in entry:
        line += f"  (chunk {entry['chunk'] + 1}, confidence {entry['confidence']})"
    return line


def print_facts(facts: dict[str, Any]) -> None:
    """Print names and values; None stands for what is not known."""
    known = {name.replace("_", " "): "not known" if value is None else value for name, value in facts.items()}
    print("; ".join(f"{name}: {value}" for name, value in known.items()))


def status_of(failure: Exception) -> int | None:
    """Return the HTTP status that the platform answered with, if it answered."""
    if isinstance(failure, aiohttp.ClientResponseError):
        return failure.status
    response = getattr(failure, "response", None)
    return None if response is None else int(response.status_code)


def refusal(failure: Exception) -> str:
    """Say why the platform did not do what was asked."""
    match status_of(failure):
        case None:
            return "the platform cannot be reached; check the network, and RUNPOD_ENDPOINT_BASE_URL if it is set"
        case 401 | 403:
            return "the API key was refused; check RUNPOD_API_KEY"
        case 404:
            return "not found; check RUNPOD_ENDPOINT_ID"
        case 400 | 413 as status:
            return f"the input was refused with HTTP status {status}; /run takes 10 MB at most"
        case status:
            return f"the platform answered with HTTP status {status}"


def make_endpoint(endpoint_id: str, api_key: str) -> "runpod.Endpoint":
    """Return the SDK's client of an endpoint, which tries requests without an effect again.

    The SDK mounts its retries for http:// only, and never for a status of 502.
    """
    endpoint = runpod.Endpoint(endpoint_id, api_key=api_key)
    retries = Retry(
        total=3,
        backoff_factor=0.3,
        status_forcelist=(408, 429, 502, 503, 504),
        allowed_methods=("GET",),
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        endpoint.rp_client.rp_session.mount(scheme, HTTPAdapter(max_retries=retries))
    return endpoint


def job_input_of(arguments: argparse.Namespace, video_url: str) -> dict[str, Any]:
    """Return a job's input. Fields that were not given are left out, so the worker's defaults apply."""
    prompts = arguments.prompt
    asked = {"prompt": prompts[0]} if len(prompts) == 1 else {"prompts": prompts}
    given = {name: value for name in FIELDS if (value := getattr(arguments, name)) is not None}
    return {"video_url": video_url, **asked, **given}


def json_of(path: str) -> Any:
    """Return what a file holds.

    Raises:
        argparse.ArgumentTypeError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{path} is not JSON: {exc}") from exc


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; the environment provides the endpoint and the key if they are not given."""
    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
    add("--video-url", metavar="URL", nargs="+", required=True, help="`batch` takes several")
    add("--prompt", metavar="TEXT", action="append", required=True, help="the question; may be given several times")
    add("--system-prompt", metavar="TEXT", help="in place of what the worker tells the model that it is")
    add("--output", metavar="FORM", help="text, events, chapters or when (spans in which something is seen)")
    add("--response-schema", metavar="FILE", type=json_of, help="with the JSON Schema that every answer fulfils")
    add("--no-aggregate", dest="aggregate", action="store_false", default=None, help="do not merge the chunks' answers")
    add("--start-time", metavar="T", help="begin here: seconds, mm:ss or h:mm:ss")
    add("--end-time", metavar="T", help="and end here")
    add("--chunk-duration", metavar="S", type=float, help="seconds of video per chunk")
    add("--sample-fps", "--fps", metavar="FPS", type=float, help="frames looked at per second of video")
    add("--max-frames", metavar="N", type=int, help="most frames looked at, in all chunks together")
    add("--resolution", metavar="SIZE", help="of the frames: low, medium or high")
    add("--sampling", metavar="HOW", help="uniform, keyframes or adaptive")
    add("--max-tokens", metavar="N", type=int, help="most tokens per answer")
    add("--temperature", metavar="T", type=float, help="0 (always the likeliest token) to 2")
    add("--top-p", metavar="P", type=float, help="sample from this share of the likeliest tokens")
    add("--top-k", metavar="N", type=int, help="sample from this many tokens, 0 from all")
    add("--presence-penalty", metavar="P", type=float, help="on tokens that were used before, -2 to 2")
    add("--stop", metavar="TEXT", action="append", help="end an answer before this; up to 4 times")
    add("--seed", metavar="N", type=int, help="make the random choices repeatable")
    add("--estimate", action="store_true", default=None, help="ask nothing, and say what the job would take")
    add("--max-seconds", metavar="S", type=float, help="most seconds on the worker")
    add("--max-cost-usd", metavar="USD", type=float, help="most dollars")
    add("--interval-s", metavar="S", type=float, default=2.0, help="between two requests for a job's state; default: 2")
    add("--patience-s", metavar="S", type=float, default=30.0, help="after which `cancel` gives up; default: 30")
    add("--endpoint-id", metavar="ID", default=os.environ.get("RUNPOD_ENDPOINT_ID"))
    add("--api-key", metavar="KEY", default=os.environ.get("RUNPOD_API_KEY"), help="better set in the environment")
    add("--base-url", metavar="URL", help="of another platform than RunPod's")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True, metavar="WAY")
    for way in ("sync", "poll", "async", "errors", "cancel", "batch"):
        ways.add_parser(way, parents=[common])
    arguments = parser.parse_args(argv)
    if not arguments.endpoint_id or not arguments.api_key:
        parser.error("set RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY, or give --endpoint-id and --api-key")
    if len(arguments.video_url) > 1 and arguments.way != "batch":
        parser.error(f"{arguments.way} takes one --video-url")
    return arguments


def ask(arguments: argparse.Namespace) -> None:
    """Run the subcommand that the command line names."""
    runpod.endpoint_url_base = arguments.base_url or runpod.endpoint_url_base
    endpoint = make_endpoint(arguments.endpoint_id, arguments.api_key)
    job_inputs = [job_input_of(arguments, video_url) for video_url in arguments.video_url]
    print(f"asking {runpod.endpoint_url_base}/{arguments.endpoint_id}")
    match arguments.way:
        case "sync":
            sync(endpoint, job_inputs[0], arguments.interval_s)
        case "poll":
            poll(endpoint, job_inputs[0], arguments.interval_s)
        case "async":
            asyncio.run(with_asyncio(arguments.endpoint_id, arguments.api_key, job_inputs[0], arguments.interval_s))
        case "errors":
            errors(endpoint, job_inputs[0], arguments.interval_s)
        case "cancel":
            cancel(endpoint, job_inputs[0], arguments.interval_s, arguments.patience_s)
        case "batch":
            batch(endpoint, job_inputs, arguments.interval_s)


def main(argv: Sequence[str] | None = None) -> None:
    """Ask, and end with a sentence where that fails."""
    arguments = parse_arguments(argv)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs each attempt; what failed in the end is said below
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # answers come at once, into a pipe too
    try:
        ask(arguments)
    except NoState as unknown:
        sys.exit(str(unknown))
    except RuntimeError as refused:  # the SDK's form of HTTP 401
        sys.exit(f"the API key was refused; check RUNPOD_API_KEY ({refused})")
    except (requests.RequestException, aiohttp.ClientError, TimeoutError) as failure:
        sys.exit(refusal(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted; a job that was submitted goes on")


if __name__ == "__main__":
    main()
