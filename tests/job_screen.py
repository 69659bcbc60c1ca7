"""Shows a job on a terminal: its stages while it runs, and then what was answered and what it took."""

import textwrap
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from answer_screen import AnswerScreen, span
from tiny_model.footage import true_sightings
from tiny_model.sample import sample_timeline
from tiny_model.world import Sighting

QUESTION_CHARACTERS = 300
"""A longer question is shortened above its answers."""
BAR_COLUMNS = 12
MESSAGE = Column(no_wrap=True, overflow="ellipsis", ratio=1)


class StageBars:
    """A bar for each stage of a job, the newest one moving. Use it as a context manager.

    A stage that an exception ended leaves no bar, which would stand still as if it went on.
    """

    def __init__(self, console: Console) -> None:
        name = TextColumn("{task.description:>9}", table_column=Column(no_wrap=True))
        message = TextColumn("{task.fields[message]}", table_column=MESSAGE)
        self._bars = Progress(
            SpinnerColumn(), name, BarColumn(BAR_COLUMNS), message, TimeElapsedColumn(), console=console, expand=True
        )
        self._tasks: dict[str, TaskID] = {}

    @property
    def console(self) -> Console:
        """Prints above the bars."""
        return self._bars.console

    def show(self, stage: str, message: str, completed: float = 0, total: float | None = None) -> None:
        """Move a stage's bar; the stages before it are over. Without a total it pulses."""
        if stage not in self._tasks:
            self._finish()
            self._tasks[stage] = self._bars.add_task(stage, message="", total=None)
        self._bars.update(self._tasks[stage], total=total, completed=completed, message=message)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()
        elif self._tasks:
            self._bars.remove_task(self._tasks.popitem()[1])
        self._bars.live.transient = not self._tasks  # no bar is not a line either
        self._bars.stop()

    def _finish(self) -> None:
        for task in self._tasks.values():
            self._bars.update(task, total=1, completed=1)
            self._bars.stop_task(task)


class JobScreen:
    """What a job found out and took, or would take.

    Args:
        console: where to print.
        output: of an answered job or an estimate; `warning` in it is printed at the end.
        form: of the answers.
        sample_overlap_s: the overlap of the chunks if the video is the sample; what it shows stands beside answers in
            free text to a single question.
    """

    def __init__(
        self, console: Console, output: dict[str, Any], form: str = "text", sample_overlap_s: float | None = None
    ) -> None:
        self._console = console
        self._output = output
        self._form = form
        self._sample_overlap_s = sample_overlap_s

    def show(self) -> None:
        """Print the answers to each question and the totals, or the estimate."""
        output = self._output
        if "estimate" in output:
            self._estimate()
        elif output["results"] is None:
            knows_truth = self._sample_overlap_s is not None and self._form == "text"
            truths = shown_in_sample(output, self._sample_overlap_s or 0) if knows_truth else []
            AnswerScreen(self._console, output, self._form, truths).show()
            self._totals()
        else:
            for number, result in enumerate(output["results"], 1):
                self._question(f"question {number} of {len(output['results'])}", result)
            self._console.print("\n[bold]all questions[/bold]", end="")
            self._totals()
        for concession in output["concessions"]:
            self._print(f"note: {concession}")
        if "warning" in output:
            self._console.print(output["warning"], style="bold yellow", markup=False, highlight=False)

    def _question(self, title: str, result: dict[str, Any]) -> None:
        self._console.print()
        self._console.rule(f"[bold]{title}[/bold]", align="left")
        self._print(textwrap.shorten(result["prompt"], QUESTION_CHARACTERS, placeholder=" …"))
        AnswerScreen(self._console, result, self._form).show()
        usage = result["usage"]
        tokens = f"{usage['prompt_tokens']}+{usage['completion_tokens']} tokens"
        self._print(f"\n{result['status']}, {result['coverage']:.0%} seen; {tokens}")

    def _totals(self) -> None:
        output = self._output
        usage, cost = output["usage"], output["cost"]
        self._print(f"\n{output['status']}, {output['coverage']:.0%} of {looked_at(output)} seen {how_seen(output)}")
        tokens = f"{usage['prompt_tokens']}+{usage['completion_tokens']}"
        if usage["cached_tokens"]:
            tokens += f", of them {usage['cached_tokens']} computed before"
        gpu_seconds = f"{cost['gpu_seconds']:.1f} s {on_gpu(cost['gpu'])}"
        self._facts({"tokens": tokens, "cost": f"{gpu_seconds}, {price(cost)}", "seconds": stages(output)})

    def _estimate(self) -> None:
        output = self._output
        estimate = output["estimate"]
        unknown = "not known before this worker has answered such a job"
        seconds = unknown if estimate["seconds"] is None else f"{estimate['seconds']:.1f}, without the download"
        self._console.print("\n[bold]estimate[/bold] (nothing was asked)", highlight=False)
        self._print(f"{looked_at(output)} {how_seen(output)}")
        self._facts({
            "seconds": seconds,
            "cost": f"{price(estimate)}, {on_gpu(estimate['gpu'])}",
            "frames": f"{estimate['frames']} in {output['num_chunks']} chunk{'' if output['num_chunks'] == 1 else 's'}",
            "tokens": f"{estimate['prompt_tokens']}, and at most {estimate['max_completion_tokens']} of answers",
            "reading": stages(output),
        })  # fmt: skip

    def _facts(self, facts: Mapping[str, str]) -> None:
        table = Table.grid("", "", padding=(0, 2, 0, 0))
        for name, fact in facts.items():
            table.add_row(name, fact)
        self._console.print(table, markup=False, highlight=False)

    def _print(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False)


def shown_in_sample(output: dict[str, Any], overlap_s: float) -> list[list[Sighting]]:
    """What the sample really shows, by chunks."""
    timeline, sample_fps, end_s = sample_timeline(), output["sample_fps"], output["window"]["end_s"]
    spans_s = ((chunk["start_s"], min(chunk["end_s"] + overlap_s, end_s)) for chunk in output["chunk_results"])
    return [true_sightings(timeline, start_s, seen_end_s, sample_fps) for start_s, seen_end_s in spans_s]


def looked_at(output: dict[str, Any]) -> str:
    """How long the part is that was looked at, and which one if it is not the whole video."""
    info, window = output["video_info"], output["window"]
    length_s = window["end_s"] - window["start_s"]
    if abs(length_s - info["duration"]) < 0.01:  # rounding
        return f"{info['duration']:g} s"
    return f"{length_s:g} s ({span(window)} of {info['duration']:g} s)"


def how_seen(output: dict[str, Any]) -> str:
    """The rate and size of the frames, and what they are frames of."""
    info, (width, height) = output["video_info"], output["frame_size"]
    size = f"{info['width']}x{info['height']}"
    return f"at {output['sample_fps']:g} fps in {width}x{height}; {info['codec']} {size}"


def on_gpu(gpu: str | None) -> str:
    """Where a job runs."""
    return "without a GPU" if gpu is None else f"on {gpu}"


def price(cost: dict[str, Any]) -> str:
    """Dollars, if they are known."""
    usd = cost["usd"]
    if usd is None:
        return "price not known"
    return f"${usd:.4f}" if usd >= 0.0001 else "less than $0.0001"  # what four digits can show


def stages(output: dict[str, Any]) -> str:
    """The wall time, and that of each stage that took some."""
    shown = {name.removesuffix("_s").replace("_", " "): f"{time_s:.1f}" for name, time_s in output["timings"].items()}
    parts = ", ".join(f"{name} {time}" for name, time in shown.items() if time != "0.0")
    return f"{output['total_processing_time']:.1f}{f': {parts}' if parts else ''}"
