"""Shows a job on a terminal: its stages while it runs, and its result, in a table or on a narrow screen in blocks."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from tiny_model.footage import true_sightings
from tiny_model.sample import sample_timeline
from tiny_model.world import Sighting, answer_of, merged

TABLE_COLUMNS, WIDE_TABLE_COLUMNS = 90, 120
"""A terminal narrower than this, or than the second beside what the sample shows, gets blocks instead of a table, in
which lines of answers would be broken."""
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
    """What a job found out.

    Args:
        console: where to print.
        output: of an answered job; `warning` in it is printed at the answers.
        sample_overlap_s: the overlap of the chunks if the video is the sample; what it shows stands beside the answers.
    """

    def __init__(self, console: Console, output: dict[str, Any], sample_overlap_s: float | None) -> None:
        self._console = console
        self._output = output
        self._chunks = output["chunk_results"]
        self._truths = [] if sample_overlap_s is None else shown_in_sample(output, sample_overlap_s)

    def show(self) -> None:
        """Print the chunks, the merged answer if it is another one, and the totals."""
        if self._console.width < (WIDE_TABLE_COLUMNS if self._truths else TABLE_COLUMNS):
            self._blocks()
        else:
            self._table()
        self._merged()
        self._totals()

    def _table(self) -> None:
        table = Table(pad_edge=False)
        for heading in ("chunk", "span", "frames", "tokens\nin+out", "seconds\nto answer"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("answer", overflow="fold")
        if self._truths:
            table.add_column("shown in the sample", overflow="fold")
        for chunk, truth in zip_longest(self._chunks, self._truths):
            tokens = f"{chunk['prompt_tokens']}+{chunk['completion_tokens']}"
            cells = (number(chunk), span(chunk), str(chunk["num_frames"]), tokens, seconds(chunk), answer(chunk))
            table.add_row(*cells, *([answer_of(truth)] if truth is not None else []))
        self._console.print(table)

    def _blocks(self) -> None:
        for chunk, truth in zip_longest(self._chunks, self._truths):
            facts = f"{chunk['num_frames']} frames, {seconds(chunk)} s to answer"
            heading = f"\n[bold]chunk {number(chunk)} of {len(self._chunks)}, {span(chunk)}[/bold] ({facts})"
            self._console.print(heading, highlight=False)
            self._said_and_shown(answer(chunk), truth)

    def _merged(self) -> None:
        output = self._output
        if output["aggregation_error"]:
            self._console.print(f"\nThe answers were not merged: {output['aggregation_error']}", markup=False)
        elif output["aggregated_response"] is not None and len(self._chunks) > 1:  # one chunk's answer stands above
            self._console.print("\n[bold]merged answer[/bold]")
            truth = merged(self._truths) if self._truths else None
            self._said_and_shown(escape(output["aggregated_response"].strip()), truth)

    def _said_and_shown(self, said: str, truth: Sequence[Sighting] | None) -> None:
        if truth is None:
            self._console.print(said, highlight=False)
            return
        pair = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
        pair.add_column("answer", overflow="fold")
        pair.add_column("shown in the sample", overflow="fold")
        pair.add_row(said, answer_of(truth))
        self._console.print(pair, highlight=False)

    def _totals(self) -> None:
        output = self._output
        info, usage = output["video_info"], output["usage"]
        self._console.print(
            f"\n{output['status']}, {output['coverage']:.0%} of {info['duration']:g} s seen "
            f"at {output['sample_fps']:g} fps; {info['codec']} {info['width']}x{info['height']}; "
            f"{usage['prompt_tokens']}+{usage['completion_tokens']} tokens in {output['total_processing_time']:.1f} s",
            highlight=False,
        )
        for concession in output["concessions"]:
            self._console.print(f"note: {concession}", markup=False, highlight=False)
        if "warning" in output:
            self._console.print(output["warning"], style="bold yellow", markup=False, highlight=False)


def shown_in_sample(output: dict[str, Any], overlap_s: float) -> list[list[Sighting]]:
    """What the sample really shows, by chunks."""
    timeline, sample_fps = sample_timeline(), output["sample_fps"]
    spans_s = ((chunk["start_s"], chunk["end_s"] + overlap_s) for chunk in output["chunk_results"])
    return [true_sightings(timeline, start_s, seen_end_s, sample_fps) for start_s, seen_end_s in spans_s]


def number(chunk: dict[str, Any]) -> str:
    """The chunk's number for people, from 1, as the progress counts; `index` counts from 0."""
    return str(chunk["index"] + 1)


def span(chunk: dict[str, Any]) -> str:
    """From when to when the chunk answers."""
    return f"{clock(chunk['start_s'])}-{clock(chunk['end_s'])}"


def seconds(chunk: dict[str, Any]) -> str:
    """Seconds that the model took."""
    return f"{chunk['timings'].get('generate_s', 0):.1f}"


def answer(chunk: dict[str, Any]) -> str:
    """The answer or the error, escaped: rich would read square brackets as style."""
    return escape((chunk["text"] if chunk["error"] is None else chunk["error"]).strip())


def clock(time_s: float) -> str:
    """Seconds as minutes and seconds, or hours, minutes and seconds."""
    minutes, seconds_left = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"
