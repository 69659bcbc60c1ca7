"""The options of test_local.py: every field of a job, and what is about this machine alone."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROMPT = "Describe what happens in this video, and when."
TEST_MODEL = "test"
EXAMPLES = """examples:
  python test_local.py
  python test_local.py --video holiday.mp4 \\
      --prompt "When does it rain?" --temperature 0
  python test_local.py --video holiday.mp4 \\
      --prompt "What do the dogs do?" --output events
  python test_local.py --video holiday.mp4 --estimate
  python test_local.py --video https://example.com/a.mp4 \\
      --json - 2>/dev/null | jq .aggregated_response
"""
FIELDS_AS_GIVEN = (
    "system_prompt", "max_tokens", "temperature", "top_p", "top_k", "presence_penalty", "stop", "chunk_duration",
    "aggregate", "start_time", "end_time", "sample_fps", "max_frames", "resolution", "sampling", "output",
    "response_schema", "estimate", "max_seconds", "max_cost_usd", "seed",
)  # fmt: skip
"""Fields of a job that are sent only if they are given."""


def parse_arguments(argv: Sequence[str], description: str) -> argparse.Namespace:
    """Read the command line; `prompt` is a list of one question or more."""
    parser = argparse.ArgumentParser(
        description=textwrap.fill(" ".join(description.split()), shutil.get_terminal_size().columns - 2),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--video", metavar="FILE|URL", help="a file, or an http(s) or file:// URL; default: a generated sample")
    add("--model", metavar="NAME", help=f"a Hugging Face id, a checkpoint directory, or `{TEST_MODEL}`; default: "
        "config.yaml's, and without a GPU the test model for the sample")  # fmt: skip
    add("--json", metavar="FILE", help="write the result to a file, errors too; `-` prints it to stdout")

    add = parser.add_argument_group("what is asked").add_argument
    add("--prompt", metavar="TEXT", action="append", help="the question; given several times, each is asked about the "
        f"same frames; default: {PROMPT}")  # fmt: skip
    add("--system-prompt", metavar="TEXT", help="in place of what the worker tells the model that it is; default: none")
    add("--output", metavar="FORM", help="text, events, chapters or when (spans in which something is seen); "
        "default: text")  # fmt: skip
    add("--response-schema", metavar="FILE", type=json_of, help="in place of --output: a file with the JSON Schema "
        "that every answer fulfils; default: none")  # fmt: skip
    add("--no-aggregate", dest="aggregate", action="store_false", default=None, help="do not merge the chunks' answers")

    add = parser.add_argument_group("what is looked at").add_argument
    add("--start-time", metavar="T", help="begin here: seconds, mm:ss or h:mm:ss; default: 0")
    add("--end-time", metavar="T", help="and end here; default: the end of the video")
    add("--chunk-duration", metavar="S", type=float, help="seconds of video per chunk; default: 60")
    add("--sample-fps", "--fps", metavar="FPS", type=float, help="frames looked at per second of video; default: 2")
    add("--max-frames", metavar="N", type=int, help="most frames looked at, in all chunks together; default: none")
    add("--resolution", metavar="SIZE", help="of the frames: low, medium or high; default: medium")
    add("--sampling", metavar="HOW", help="uniform, keyframes or adaptive; default: uniform")

    add = parser.add_argument_group("how the answers are written").add_argument
    add("--max-tokens", metavar="N", type=int, help="most tokens per answer; default: 512")
    add("--temperature", metavar="T", type=float, help="0 (always the likeliest token) to 2; default: 0.7")
    add("--top-p", metavar="P", type=float, help="sample from this share of the likeliest tokens; default: 0.8")
    add("--top-k", metavar="N", type=int, help="sample from this many tokens, 0 from all; default: 20")
    add("--presence-penalty", metavar="P", type=float, help="on tokens that were used before, -2 to 2; default: 1.5, "
        "or 0 where the answer is JSON")  # fmt: skip
    add("--stop", metavar="TEXT", action="append", help="end an answer before this; up to 4 times; default: none")
    add("--seed", metavar="N", type=int, help="make the random choices repeatable; default: none")

    add = parser.add_argument_group("what it may take").add_argument
    add("--estimate", action="store_true", default=None, help="ask nothing, and say what the job would take")
    add("--max-seconds", metavar="S", type=float, help="most seconds on the worker; default: none")
    add("--max-cost-usd", metavar="USD", type=float, help="most dollars; default: none")
    arguments = parser.parse_args(argv)
    arguments.prompt = arguments.prompt or [PROMPT]
    if arguments.json not in (None, "-") and not Path(arguments.json).resolve().parent.is_dir():
        parser.error(f"there is no directory {Path(arguments.json).parent}")
    return arguments


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


def job_input(arguments: argparse.Namespace, video: str) -> dict[str, Any]:
    """Return the job's input; fields that were not given keep the worker's defaults."""
    prompts = arguments.prompt
    asked = {"prompt": prompts[0]} if len(prompts) == 1 else {"prompts": prompts}
    given = {name: value for name in FIELDS_AS_GIVEN if (value := getattr(arguments, name)) is not None}
    return {"video_url": video, **asked, **given}


def form_of(arguments: argparse.Namespace) -> str:
    """Return the form of the answers: text, events, chapters, when or schema."""
    return "schema" if arguments.response_schema is not None else arguments.output or "text"
