"""Has the worker read an input as a whole job with a scripted engine, and compares what it says with what is right."""

import asyncio
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import numpy as np

import pipeline
from api.output import JobOutput
from api.request import validate_input
from api.result import job_output
from clips import BITS, number_in
from config import Settings
from decoding import decode_all_packets, decode_needed_packets, order_for
from errors import WorkerError
from fakes import ScriptedEngine
from foreign.case import UNREADABLE_NUMBER, Foreign, Part, Right
from frames.reader_pool import VideoReaders
from in_process import ReaderInProcess
from jobs import scripted_services
from records import FrameBatch, JobResult

CHUNK_S = 4
FRAME_TOKENS = 32
"""Those of 256 by 128 pixels, from which a number can be read."""
TIMEOUT_S = 60
LONGEST_S = 60
"""Longer than any input: one that is taken for longer is read wrongly, and would fill the memory."""
DURATION_TOLERANCE_S = 0.05
PATCH_TOLERANCE = 20
SHOWN_FAULTS = 2
PICTURES_OF_A_NUMBER = 2**BITS


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that the model would see."""

    at_s: float
    pixels: np.ndarray
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What the worker said of a file: an answer or a refusal, and the frames that it delivered."""

    output: JobOutput | None
    refusal: str
    """`CODE: sentence`; empty if there is an output."""
    frames: tuple[Frame, ...]

    @property
    def status(self) -> str:
        """`complete`, `partial`, or the code of a refusal."""
        return self.output.status if self.output else self.refusal.partition(":")[0]

    def sentences(self) -> str:
        """Everything that it said in words."""
        if self.output is None:
            return self.refusal
        errors = [chunk.error for chunk in self.output.chunk_results if chunk.error]
        return " ".join([*self.output.concessions, *self.output.video_info.other_streams, *errors])

    def unseen(self) -> Sequence[tuple[float, float]]:
        """The spans in seconds that it said to be unseen."""
        spans = self.output.model_dump().get("unseen", ()) if self.output else ()
        return [(span["start_s"], span["end_s"] or math.inf) for span in spans]

    def summary(self) -> str:
        """The facts of one line."""
        if self.output is None:
            return self.status
        info = self.output.video_info
        return f"{self.status} {self.output.coverage:.2f}, {info.duration:.2f} s, {info.num_frames} pictures"


class ReaderThatMayFail(ReaderInProcess):
    """Stands in for a process: when its program raises, it ends and gives nothing more."""

    def begin(self, video: Path, message: str) -> None:
        with suppress(Exception):
            super().begin(video, message)


async def read(one: Foreign, path: Path) -> Reading:
    """Run a job on an input and keep what the engine is shown."""
    batches: list[FrameBatch] = []

    def keep(batch: FrameBatch) -> str:
        batches.append(batch)
        return "seen"

    def take(_readers: VideoReaders, module: str, *, on_gpu: bool = False) -> ReaderInProcess:
        assert not on_gpu
        return ReaderThatMayFail(module)

    request = validate_input({
        "video_url": str(path), "prompt": "?", "chunk_duration": CHUNK_S, "sample_fps": one.sample_fps,
        "sampling": one.sampling, "aggregate": False,
    })  # fmt: skip
    with tempfile.TemporaryDirectory() as work_dir, patch.object(VideoReaders, "take", take):
        settings = Settings(
            video_roots=(path.parent,), work_dir=Path(work_dir), chunk_overlap=0, media_timeout_s=TIMEOUT_S,
            min_frame_tokens=FRAME_TOKENS, max_frame_tokens=FRAME_TOKENS, max_video_tokens_per_chunk=100_000,
            max_frames_per_chunk=10_000, max_video_duration_s=LONGEST_S,
        )  # fmt: skip
        services = scripted_services(settings, ScriptedEngine(keep, max_model_len=1_000_000))
        try:
            async with services, aclosing(pipeline.run(request, services, TIMEOUT_S)) as events:
                async for event in events:
                    result = event
        except WorkerError as exc:
            return Reading(None, str(exc), tuple(_frames(batches)))
    assert isinstance(result, JobResult)
    return Reading(job_output(result), "", tuple(_frames(batches)))


def _frames(batches: Sequence[FrameBatch]) -> Iterator[Frame]:
    for batch in sorted(batches, key=lambda batch: batch.watched.chunk.index):
        yield from map(Frame, map(float, batch.times_s), batch.pixels, map(bool, batch.is_damaged))


def faults(one: Foreign, reading: Reading, path: Path) -> list[str]:
    """Return the differences from what is right; none if another honest answer was given."""
    found = [list(_faults(one, right, reading)) for right in (one.right, *one.also_right)]
    return found[0] if all(found) else list(_inexact(one, path))


def _faults(one: Foreign, right: Right, reading: Reading) -> Iterator[str]:
    if reading.status != right.status:
        yield f"{reading.status} for {right.status}"
    said = reading.sentences().lower()
    if right.says and not any(word.lower() in said for word in right.says):
        yield f"does not say {' or '.join(right.says)}"
    if (output := reading.output) is None:
        return
    info = output.video_info
    least, most = right.coverage
    if not least <= output.coverage <= most:
        yield f"coverage {output.coverage:.2f} for {least:g} to {most:g}"
    if right.duration_s is not None and abs(info.duration - right.duration_s) > DURATION_TOLERANCE_S:
        yield f"{info.duration:.2f} s for {right.duration_s:.2f} s"
    if right.num_pictures is not None and info.num_frames != right.num_pictures:
        yield f"{info.num_frames} pictures for {right.num_pictures}"
    if right.size_px is not None and (info.width, info.height) != right.size_px:
        yield f"{info.width}x{info.height} for {right.size_px[0]}x{right.size_px[1]}"
    if right.patches:
        yield from _wrong_patches(right, reading)
    if right.parts:
        yield from _wrong_frames(one, right, reading)


def _wrong_patches(right: Right, reading: Reading) -> Iterator[str]:
    pixels = reading.frames[0].pixels
    rows, columns = len(right.patches) // 4, 4
    height_px, width_px = pixels.shape[0] // rows, pixels.shape[1] // columns
    for number, colour in enumerate(right.patches):
        row, column = divmod(number, columns)
        patch = pixels[row * height_px :, column * width_px :][height_px // 4 : -(-height_px * 3 // 4)]
        seen = patch[:, width_px // 4 : width_px * 3 // 4].reshape(-1, 3).mean(0)
        if np.abs(seen - colour).max() > PATCH_TOLERANCE:
            yield f"{tuple(int(level) for level in seen)} for {colour}"


def _wrong_frames(one: Foreign, right: Right, reading: Reading) -> Iterator[str]:
    """Frames that show another picture than is on screen at their time, and say nothing of it; instants without one."""
    wrong, judged, unseen = [], 0, reading.unseen()
    for frame in reading.frames:
        part = _part_at(right.parts, frame.at_s)
        if part is None or frame.is_damaged or any(start <= frame.at_s < stop for start, stop in unseen):
            continue
        judged += 1
        number = _number_in(frame.pixels, part.share)
        if number != part.number_at(frame.at_s):
            wrong.append(f"{number} for {part.number_at(frame.at_s)} at {frame.at_s:.2f} s")
    if wrong:
        yield f"{len(wrong)} of {judged} frames wrong: {', '.join(wrong[:SHOWN_FAULTS])}"
    if right.status == "complete" and one.sampling == "uniform":
        instants = sum((part.stop_s - part.start_s) * one.sample_fps for part in right.parts)
        if judged < int(instants + 1e-6):
            yield f"{judged} frames for {instants:.0f}"


def _part_at(parts: Sequence[Part], at_s: float) -> Part | None:
    """Return the part on screen; between two parts the last picture stays."""
    found = next((part for part in parts if part.start_s - 1e-6 <= at_s < part.stop_s - 1e-6), None)
    earlier = [part for part in parts if part.stop_s <= at_s + 1e-6]
    return found or (replace(earlier[-1], start_s=at_s, first=earlier[-1].last, rate_fps=0) if earlier else None)


def _number_in(pixels: np.ndarray, share: tuple[float, float]) -> int:
    height_px, width_px = pixels.shape[:2]
    inner_px = round(width_px * share[0]), round(height_px * share[1])
    left, top = (width_px - inner_px[0]) // 2, (height_px - inner_px[1]) // 2
    try:
        return number_in(pixels[top : top + inner_px[1], left : left + inner_px[0]])
    except AssertionError:
        return UNREADABLE_NUMBER


def _inexact(one: Foreign, path: Path) -> Iterator[str]:
    """What differs from a full decode, from the start and from the middle."""
    if not one.is_exact:
        return
    fps = Fraction(one.sample_fps)
    whole = order_for(path, fps)
    for start in (0, whole.stop // 2):
        order = replace(whole, start=start)
        needed, all_packets = decode_needed_packets(path, order), decode_all_packets(path, order)
        if needed.shown != all_packets.shown:
            yield f"other pictures than a full decode from instant {start} on"
        elif not all(np.array_equal(*pair) for pair in zip(needed.pixels, all_packets.pixels, strict=True)):
            yield f"other pixels than a full decode from instant {start} on"


async def judged(one: Foreign, path: Path) -> tuple[Reading, list[str]]:
    """Read an input and compare it."""
    reading = await read(one, path)
    return reading, await asyncio.to_thread(faults, one, reading, path)
