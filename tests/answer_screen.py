"""Shows the answers to one question on a terminal, in tables or on a narrow screen in blocks."""

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tiny_model.world import Sighting, answer_of, merged

TABLE_COLUMNS, WIDE_TABLE_COLUMNS = 90, 120
"""A terminal narrower than this, or than the second beside what the sample shows, gets blocks instead of a table, in
which lines of answers would be broken."""
KINDS = {"events": "event", "when": "span", "chapters": "chapter"}
"""What the entries of a list are called, by the form of the answer; other forms are no lists of this program's."""
TEXTS = {"events": "description", "chapters": "title"}
"""Where their words are."""


class AnswerScreen:
    """What a job found out about one question.

    Args:
        console: where to print.
        result: the question's part of the output, which is all of it if there is one question.
        form: of the answers.
        truths: what each chunk really shows, if that is known.
    """

    def __init__(
        self, console: Console, result: dict[str, Any], form: str, truths: Sequence[Sequence[Sighting]] = ()
    ) -> None:
        self._console = console
        self._result = result
        self._chunks = result["chunk_results"]
        self._form = form
        self._truths = truths

    def show(self) -> None:
        """Print the chunks, and then the merged answer if it is another one, or what the chunks list."""
        if self._console.width < (WIDE_TABLE_COLUMNS if self._truths else TABLE_COLUMNS):
            self._blocks()
        else:
            self._table()
        if self._result["aggregation_error"]:
            self._print(f"\nThe answers were not merged: {self._result['aggregation_error']}")
        if self._form in KINDS:
            self._listed()
        elif self._result["aggregated_response"] is not None and len(self._chunks) > 1:  # else it stands above
            self._heading("merged answer")
            truth = merged(self._truths) if self._truths else None
            self._said_and_shown(said(self._result["aggregated_response"]), truth)

    def _table(self) -> None:
        table = Table(pad_edge=False)
        for heading in ("chunk", "span", "frames", "tokens\nin+out", "seconds\nto answer"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("answer", overflow="fold")
        if self._truths:
            table.add_column("shown in the sample", overflow="fold")
        for chunk, truth in zip_longest(self._chunks, self._truths):
            tokens = f"{chunk['prompt_tokens']}+{chunk['completion_tokens']}"
            cells = (number(chunk["index"]), span(chunk), str(chunk["num_frames"]), tokens, seconds(chunk))
            answer = escape(self._answer(chunk))
            table.add_row(*cells, answer, *([answer_of(truth)] if truth is not None else []))
        self._console.print(table)

    def _blocks(self) -> None:
        for chunk, truth in zip_longest(self._chunks, self._truths):
            facts = f"{chunk['num_frames']} frames, {seconds(chunk)} s to answer"
            self._heading(f"chunk {number(chunk['index'])} of {len(self._chunks)}, {span(chunk)}", facts)
            self._said_and_shown(self._answer(chunk), truth)

    def _answer(self, chunk: dict[str, Any]) -> str:
        """The answer or the error; of a list how long it is, because its entries stand below."""
        if chunk["error"] is not None:
            return str(chunk["error"]).strip()
        if self._form in KINDS:
            return counted(self._form, len(chunk["value"]))
        return said(chunk["value"] if chunk["text"] is None else chunk["text"])

    def _said_and_shown(self, answer: str, truth: Sequence[Sighting] | None) -> None:
        if truth is None:
            self._print(answer)
            return
        pair = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
        pair.add_column("answer", overflow="fold")
        pair.add_column("shown in the sample", overflow="fold")
        pair.add_row(escape(answer), answer_of(truth))
        self._console.print(pair, highlight=False)

    def _listed(self) -> None:
        """Print the entries of the merged list, or of the chunks' lists if there is none."""
        entries, remark = self._result["aggregated_response"], ""
        if entries is None:
            remark = "of each chunk, not merged"
            entries = [{**entry, "chunk": chunk["index"]} for chunk in self._chunks for entry in chunk["value"] or ()]
        elif self._form == "when":
            remark = "the surest first"
        self._heading(counted(self._form, len(entries)), remark if entries else "")
        text = TEXTS.get(self._form)
        if entries and self._console.width >= TABLE_COLUMNS:
            self._console.print(entry_table(entries, text))
            return
        for entry in entries:
            facts = ", ".join(f"{name} {value}" for name, value in facts_of(entry).items())
            times = f"{exact_clock(entry['start_s'])}-{exact_clock(entry['end_s'])}"
            if text:
                self._heading(times, facts)
                self._print(entry[text].strip())
            else:
                self._print(f"{times} ({facts})")

    def _heading(self, words: str, facts: str = "") -> None:
        self._console.print(f"\n[bold]{words}[/bold]{f' ({facts})' if facts else ''}", highlight=False)

    def _print(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False)


def entry_table(entries: Sequence[dict[str, Any]], text: str | None) -> Table:
    """Entries with times, and with words in their field `text` if that is given; one a row."""
    table = Table(pad_edge=False)
    for heading in ("start", "end", *facts_of(entries[0])):
        table.add_column(heading, justify="right", no_wrap=True)
    if text:
        table.add_column(text, overflow="fold")
    for entry in entries:
        times = (exact_clock(entry["start_s"]), exact_clock(entry["end_s"]))
        table.add_row(*times, *facts_of(entry).values(), *([escape(entry[text].strip())] if text else []))
    return table


def facts_of(entry: dict[str, Any]) -> dict[str, str]:
    """What an entry has besides its times and words."""
    facts = {"chunk": number(entry["chunk"])} if "chunk" in entry else {}
    if "confidence" in entry:
        facts["confidence"] = "unknown" if entry["confidence"] is None else f"{entry['confidence']:.2f}"
    return facts


def counted(form: str, entries: int) -> str:
    """How many entries a list has."""
    return f"{entries or 'no'} {KINDS[form]}{'' if entries == 1 else 's'}"


def said(value: Any) -> str:
    """A text as it is, and other JSON over several lines."""
    return value.strip() if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def number(index: int) -> str:
    """A chunk's number for people, from 1, as the progress counts; `index` counts from 0."""
    return str(index + 1)


def span(part: dict[str, Any]) -> str:
    """From when to when a part of the video goes."""
    return f"{clock(part['start_s'])}-{clock(part['end_s'])}"


def seconds(chunk: dict[str, Any]) -> str:
    """Seconds that the model took."""
    return f"{chunk['timings'].get('generate_s', 0):.1f}"


def clock(time_s: float) -> str:
    """Seconds as minutes and seconds, or hours, minutes and seconds."""
    minutes, seconds_left = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"


def exact_clock(time_s: float) -> str:
    """The same with tenths of a second, which tell neighbouring frames apart."""
    tenths = round(time_s * 10)
    return f"{clock(tenths // 10)}.{tenths % 10}"
