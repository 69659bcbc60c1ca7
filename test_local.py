"""Run one job through the worker's handler in this process, and show what happens.

Without --video a sample is made once with ffmpeg and kept; what it shows stands beside the answers. The sample needs no
GPU: without one, a test model answers. It knows coloured shapes, such as the sample's, and nothing else.
"""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from job_options import TEST_MODEL, form_of, job_input, parse_arguments

try:
    from rich.console import Console

    from job_screen import JobScreen, StageBars
    from tiny_model.environment import CHECKPOINT, environment
    from tiny_model.sample import SAMPLE_NAME, make_sample
except ImportError as lacking:
    if not {"-h", "--help"} & set(sys.argv):
        sys.exit(
            f"{sys.executable} lacks a package of this script ({lacking.name}): use `make local`, or the Python of the "
            "environment that README.md sets up, such as .venv/bin/python after `make setup`."
        )

SAMPLES = ROOT / ".cache"
TEST_MODEL_WARNING = "The test model answered. It knows coloured shapes and nothing else"
FORM_WARNING = " It never learned to answer in a form: the form is right, and what stands in it means nothing."
NO_MODEL = (
    "Nothing here can answer questions about this video: there is no GPU that vLLM can use, and the test model knows "
    "coloured shapes and nothing else. Name a model with --model (an 8B model needs 40 GB of memory and much time on a "
    f"CPU), or give `--model {TEST_MODEL}` to see how the video is read, with answers that mean nothing."
)


class NotStarted(Exception):
    """Why there is no job, as a sentence."""


class LoggedCause(logging.Handler):
    """Keeps the beginning of the last exception that was logged, which a job's error leaves to the log."""

    cause = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Look for an exception."""
        if record.exc_info and record.exc_info[1] is not None:
            exception = record.exc_info[1]
            self.cause = textwrap.shorten(f"{type(exception).__name__}: {exception}", 300, placeholder=" …")


def main() -> NoReturn:
    """Run the job that the command line describes; the exit status is 0 when it was answered."""
    arguments = parse_arguments(sys.argv[1:], __doc__ or "")
    to_stdout = arguments.json == "-"
    console = Console(stderr=to_stdout, emoji=False)
    json_file = os.dup(sys.stdout.fileno()) if to_stdout else arguments.json
    if to_stdout:  # for the JSON alone: vLLM writes to stdout too
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        with StageBars(console) as bars:
            bars.show("start", "loading the program")
            video = prepare(arguments, bars)
            output = asyncio.run(answer(arguments, video, bars))
    except NotStarted as refusal:
        output = {"error": str(refusal)}
    except KeyboardInterrupt:
        output = {"error": "Interrupted."}
    show(output, console, form_of(arguments), is_sample=arguments.video is None)
    if json_file is not None:
        with open(json_file, "w", encoding="utf-8") as file:  # noqa: PTH123  # a path or the copy of stdout
            file.write(json.dumps(output, indent=2, ensure_ascii=False) + "\n")
        if not to_stdout:
            console.print(f"The result is in {json_file}.", markup=False, highlight=False, soft_wrap=True)
    end(1 if "error" in output else 0)


def end(status: int) -> NoReturn:
    """End the process at once: nobody needs the model any more, whether it is loaded or still loads."""
    from ops.process_exit import exit_at_once

    exit_at_once(status)


def prepare(arguments: argparse.Namespace, bars: "StageBars") -> str:
    """Find the video, and set the environment that the worker reads when it is imported; the video's path or URL.

    Raises:
        NotStarted: there is no job.
    """
    is_sample = arguments.video is None
    video = sample_video(bars) if is_sample else existing_video(arguments.video)
    choose_model(arguments.model, is_sample=is_sample, is_asked=not arguments.estimate)
    allow_directory(video)
    return video


async def answer(arguments: argparse.Namespace, video: str, bars: "StageBars") -> dict[str, Any]:
    """Run the job; its output, with the model's name, and with a warning if that is the test model.

    Raises:
        NotStarted: the settings are wrong.
    """
    import worker
    from config import InvalidSettings

    try:
        settings = worker.services().settings
    except InvalidSettings as exc:
        raise NotStarted(str(exc)) from exc
    is_test_model = settings.model_name == str(CHECKPOINT)
    name = "test model" if is_test_model else settings.model_name
    asked = [f"video   {video}", f"model   {name}", *(f"prompt  {prompt}" for prompt in arguments.prompt)]
    bars.console.print("\n".join(asked), markup=False, highlight=False)
    output = {"model": name} | await run_job(job_input(arguments, video), bars)
    if is_test_model and not {"error", "estimate"} & output.keys():
        is_sample, has_form = arguments.video is None, form_of(arguments) != "text"
        output["warning"] = TEST_MODEL_WARNING + ("." if is_sample else ": these answers say nothing about this video.")
        output["warning"] += FORM_WARNING if has_form and is_sample else ""
    return output


def show(output: dict[str, Any], console: "Console", form: str, *, is_sample: bool) -> None:
    """Print a job's result, whose answers have a form, or why there is none."""
    if "error" in output:
        # On a terminal lines are broken between words; elsewhere a sentence is a line, which one can search for.
        sentences = "\n".join(output[name] for name in ("error", "cause") if name in output)
        console.print(sentences, style="red", markup=False, highlight=False, soft_wrap=not console.is_terminal)
        return
    import worker

    overlap_s = worker.services().settings.chunk_overlap if is_sample else None
    JobScreen(console, output, form, overlap_s).show()


async def run_job(job_input: dict[str, Any], bars: "StageBars") -> dict[str, Any]:
    """Run the job as the handler would, with a bar for each stage; `cause` in its output is what the log would say."""
    import worker
    from api.progress import ProgressMeter

    logged = LoggedCause(logging.ERROR)
    logging.basicConfig(level=logging.ERROR, handlers=[logged])  # nothing is printed: the outcome has the error
    warnings.simplefilter("ignore")  # vLLM's and torch's own, on every start
    meter, output = ProgressMeter(), {}
    async for event in worker.run_job(job_input):
        if isinstance(event, worker.JobOutcome):
            output = event.output
        elif progress := meter.after(event):
            total = progress.num_chunks if progress.stage == "chunks" else None
            bars.show(progress.stage, progress.message, progress.chunks_done, total)
    if "error" in output and logged.cause:
        output["cause"] = logged.cause
    return output


def existing_video(video: str) -> str:
    """Return a URL as it is, and a file's absolute path.

    Raises:
        NotStarted: there is no such file.
    """
    if "://" in video:
        return video
    if not Path(video).is_file():
        raise NotStarted(f"There is no file {video}.")
    return str(Path(video).resolve())


def sample_video(bars: "StageBars") -> str:
    """Return the path of the sample, made on the first run.

    Raises:
        NotStarted: it cannot be made.
    """
    path = SAMPLES / SAMPLE_NAME
    if path.exists():
        return str(path)
    try:
        make_sample(path, lambda share: bars.show("sample", "making the sample, once", share, 1))
    except FileNotFoundError as exc:
        raise NotStarted("The sample video could not be made: ffmpeg is missing; `make setup` installs it.") from exc
    except subprocess.CalledProcessError as exc:
        raise NotStarted(f"The sample video could not be made: {exc.stderr.decode().strip()}") from exc
    except OSError as exc:
        raise NotStarted(f"The sample video could not be made: {exc.strerror}.") from exc
    return str(path)


def choose_model(model: str | None, *, is_sample: bool, is_asked: bool = True) -> None:
    """Choose the model; what the caller's environment says stays. One that is not asked may be of any size.

    Raises:
        NotStarted: only the test model could answer, about a video of which it knows nothing.
    """
    from ops.fitness import is_cpu_build

    # What libraries say would run through the bars.
    for variable in ("VLLM_LOGGING_LEVEL", "TORCH_CPP_LOG_LEVEL"):
        os.environ.setdefault(variable, "ERROR")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if model not in (None, TEST_MODEL):
        os.environ["MODEL_NAME"] = model
    elif model == TEST_MODEL:
        os.environ["MODEL_NAME"] = str(CHECKPOINT)
    elif "MODEL_NAME" not in os.environ and (is_cpu_build() or not Path("/dev/nvidiactl").exists()):
        if is_asked and not is_sample:
            raise NotStarted(NO_MODEL)
        if is_sample:
            os.environ["MODEL_NAME"] = str(CHECKPOINT)
    if os.environ.get("MODEL_NAME") == str(CHECKPOINT):
        os.environ |= environment() | os.environ


def allow_directory(video: str) -> None:
    """Let the worker read the directory of a file that was named on this machine's command line."""
    if video.lower().startswith("file://"):
        from urllib.parse import unquote, urlsplit

        os.environ.setdefault("VIDEO_ROOTS", str(Path(unquote(urlsplit(video).path)).parent))
    elif "://" not in video:
        os.environ.setdefault("VIDEO_ROOTS", str(Path(video).parent))


if __name__ == "__main__":
    main()
