"""Run one job through the worker's handler in this process, and show what happens.

python test_local.py [--video PATH|URL] [--prompt TEXT] [--chunk-duration S] [--json FILE] …

Without --video a sample is made once with ffmpeg and kept; what it shows stands beside the answers. Without
a GPU and without a model's name a test model answers. It knows coloured shapes, such as the sample's, and nothing else.
"""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tiny_model.environment import environment
from tiny_model.footage import true_sightings
from tiny_model.sample import SAMPLE_NAME, make_sample, sample_timeline
from tiny_model.world import Sighting, answer_of, merged

if TYPE_CHECKING:
    from api import progress

SAMPLES = ROOT / ".cache"
STAGES = {
    "download": "fetch",
    "validate": "read",
    "load": "load",
    "plan": "plan",
    "chunks": "watch",
    "synthesis": "merge",
}


def main() -> int:
    """Run the job that the command line describes; 0 when it was answered."""
    arguments = parse_arguments()
    console = Console()
    try:
        video = arguments.video or sample_video(console)
    except FileNotFoundError:
        return fail("The sample video could not be made: ffmpeg is missing; `make setup` installs it.", console)
    except subprocess.CalledProcessError as exc:
        return fail(f"The sample video could not be made: {exc.stderr.decode().strip()}", console)
    if "://" not in video:
        if not Path(video).is_file():
            return fail(f"There is no file {video}.", console)
        video = str(Path(video).resolve())
    if not prepare_environment(arguments.model, video):
        console.print("No GPU and no model named: the test model answers. It knows coloured shapes and nothing else.")
    return asyncio.run(run(arguments, video, console))


async def run(arguments: argparse.Namespace, video: str, console: Console) -> int:
    """Run the job and show the outcome; the exit status."""
    import worker
    from config import InvalidSettings

    try:
        services = worker.services()
    except InvalidSettings as exc:
        return fail(str(exc), console)
    output = await run_job(job_input(arguments, video), console)
    if "error" in output:
        status = fail(output["error"], console)
    else:
        status = 0
        show(output, console, [] if arguments.video else shown_in_sample(output, services.settings.chunk_overlap))
        if arguments.json:
            arguments.json.write_text(json.dumps(output, indent=2) + "\n")
    await services.client.shutdown()  # last: a failed job waits here for a model still loading
    return status


def fail(sentence: str, console: Console) -> int:
    """Print why there is no answer; the exit status."""
    console.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
    return 1


def parse_arguments() -> argparse.Namespace:
    """Read the command line; a job's fields that are not given keep the worker's defaults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--video", help="a file or an http(s) URL; default: a generated sample")
    parser.add_argument("--prompt", default="Describe what happens in this video, and when.")
    parser.add_argument("--model", help="a Hugging Face id or a checkpoint directory")
    parser.add_argument("--chunk-duration", type=float, help="seconds of video per chunk")
    parser.add_argument("--sample-fps", type=float, help="frames looked at per second of video")
    parser.add_argument("--max-tokens", type=int, help="most tokens per answer")
    parser.add_argument("--temperature", type=float, help="0 is greedy")
    parser.add_argument("--no-aggregate", dest="aggregate", action="store_false", help="leave the answers apart")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    arguments = parser.parse_args()
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"there is no directory {arguments.json.parent}")
    return arguments


def job_input(arguments: argparse.Namespace, video: str) -> dict[str, Any]:
    """Return the job's input."""
    optional = {
        name: getattr(arguments, name) for name in ("chunk_duration", "sample_fps", "max_tokens", "temperature")
    }
    given = {name: value for name, value in optional.items() if value is not None}
    return {"video_url": video, "prompt": arguments.prompt, "aggregate": arguments.aggregate, **given}


def prepare_environment(model: str | None, video: str) -> bool:
    """Allow the video's directory, and choose the model; False if that is the test model.

    What the caller's environment says stays.
    """
    for variable in ("VLLM_LOGGING_LEVEL", "TORCH_CPP_LOG_LEVEL"):  # start-up messages would run through the bars
        os.environ.setdefault(variable, "ERROR")
    if "://" not in video:
        os.environ.setdefault("VIDEO_ROOTS", str(Path(video).resolve().parent))
    if model:
        os.environ["MODEL_NAME"] = model
    if "MODEL_NAME" in os.environ or Path("/dev/nvidiactl").exists():
        return True
    os.environ |= environment() | os.environ
    return False


async def run_job(job_input: dict[str, Any], console: Console) -> dict[str, Any]:
    """Run the job as the handler would, with a bar for each stage."""
    import worker
    from api.progress import ProgressMeter

    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    warnings.simplefilter("ignore")  # vLLM's and torch's own, on every start
    columns = (SpinnerColumn(), TextColumn("{task.description:>6}"), BarColumn(), TextColumn("{task.fields[message]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}
        meter, output = ProgressMeter(), {}

        def show_progress(progress: "progress.Progress") -> None:
            for stage, task in tasks.items():
                if stage != progress.stage:
                    bars.update(task, total=1, completed=1)
                    bars.stop_task(task)
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(STAGES[progress.stage], message="")
            total = progress.num_chunks if progress.stage == "chunks" else None
            bars.update(tasks[progress.stage], total=total, completed=progress.chunks_done, message=progress.message)

        async for event in worker.run_job(job_input):
            if isinstance(event, worker.JobOutcome):
                output = event.output
            elif progress_now := meter.after(event):
                show_progress(progress_now)
        for task in tasks.values():
            bars.update(task, total=1, completed=1)
    return output


def shown_in_sample(output: dict[str, Any], overlap_s: float) -> list[list[Sighting]]:
    """What the sample really shows, by chunks."""
    timeline, sample_fps = sample_timeline(), output["sample_fps"]
    spans_s = ((chunk["start_s"], chunk["end_s"] + overlap_s) for chunk in output["chunk_results"])
    return [true_sightings(timeline, start_s, seen_end_s, sample_fps) for start_s, seen_end_s in spans_s]


def show(output: dict[str, Any], console: Console, truths: list[list[Sighting]]) -> None:
    """Print the chunks, the merged answer and the totals; beside them what a known video really shows."""
    chunks = output["chunk_results"]
    table = Table(title="Chunks", title_justify="left", pad_edge=False)
    for heading in ("#", "span", "frames", "tokens", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("answer", overflow="fold")
    if truths:
        table.add_column("shown", overflow="fold")
    for chunk, truth in zip_longest(chunks, truths):
        table.add_row(
            str(chunk["index"]),
            f"{clock(chunk['start_s'])}-{clock(chunk['end_s'])}",
            str(chunk["num_frames"]),
            f"{chunk['prompt_tokens']}+{chunk['completion_tokens']}",
            f"{chunk['timings'].get('generate_s', 0):.1f}",
            plain(chunk["text"] if chunk["error"] is None else chunk["error"]),
            *([answer_of(truth)] if truth else []),
        )
    console.print(table)
    if output["aggregated_response"] is not None:
        console.print("\nMerged answer", style="table.title")  # a table's own title breaks where a short answer ends
        merged_table = Table(box=None, pad_edge=False)
        merged_table.add_column("answer" if truths else "", overflow="fold")
        if truths:
            merged_table.add_column("shown", overflow="fold")
        merged_table.add_row(plain(output["aggregated_response"]), *([answer_of(merged(truths))] if truths else []))
        console.print(merged_table)
    info, usage = output["video_info"], output["usage"]
    console.print(
        f"\n{output['status']}, {output['coverage']:.0%} of {info['duration']:g} s seen "
        f"at {output['sample_fps']:g} fps; {info['codec']} {info['width']}x{info['height']}; "
        f"{usage['prompt_tokens']}+{usage['completion_tokens']} tokens in {output['total_processing_time']:.1f} s",
        highlight=False,
    )
    for concession in output["concessions"]:
        console.print(f"note: {concession}", highlight=False)


def sample_video(console: Console) -> str:
    """Return the path of the sample, made on the first run."""
    path = SAMPLES / SAMPLE_NAME
    if not path.exists():
        console.print("Making the sample video …")
        make_sample(path)
    return str(path)


def clock(time_s: float) -> str:
    """Seconds as minutes and seconds, or hours, minutes and seconds."""
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def plain(text: str) -> str:
    """A model's text as it is: rich would read square brackets as style."""
    from rich.markup import escape

    return escape(text.strip())


if __name__ == "__main__":
    sys.exit(main())
