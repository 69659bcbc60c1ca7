"""The world that the tiny model knows: one coloured shape at a time on a dark ground, one scene after another."""

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

COLOURS = {
    "red": (215, 30, 35),
    "green": (30, 170, 50),
    "blue": (40, 70, 220),
    "yellow": (225, 205, 40),
    "purple": (165, 50, 190),
    "white": (235, 235, 235),
}
NOT_SEEN = "not seen"
SHAPES = ("circle", "square", "triangle", "cross")
SUPERSAMPLING = 3
"""Small pictures are drawn this many times larger and averaged: edges as a scaler's."""
SMALL_PX = 128


class Subject(NamedTuple):
    """What a scene shows."""

    colour: str
    shape: str

    def __str__(self) -> str:
        """The words that the model writes."""
        return f"{self.colour} {self.shape}"


SUBJECTS = tuple(Subject(colour, shape) for colour in COLOURS for shape in SHAPES)


@dataclass(frozen=True, slots=True)
class Scene:
    """One subject, moving slowly. Positions and sizes count in short sides of the picture, from its centre."""

    start_s: float
    subject: Subject
    radius: float
    x: float
    y: float
    dx_per_s: float
    dy_per_s: float
    tint: tuple[int, int, int]
    """Of the subject: its colour, a little off."""
    ground: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Scenes in time order, the first from 0 s on; aspect is width over height."""

    scenes: tuple[Scene, ...]
    duration_s: float
    aspect: float

    def index_at(self, time_s: float) -> int:
        """The index of the scene on screen."""
        return max(0, bisect.bisect_right([scene.start_s for scene in self.scenes], time_s + 1e-6) - 1)

    def subject_at(self, time_s: float) -> Subject:
        """What is on screen."""
        return self.scenes[self.index_at(time_s)].subject


class Sighting(NamedTuple):
    """A subject and the stamp of the first pair of frames that shows it, in seconds."""

    stamp_s: float
    subject: Subject

    def __str__(self) -> str:
        """The line that the model writes: the prompt's own stamp, and the words."""
        return f"<{self.stamp_s:.1f} seconds> {self.subject}"


def sightings(subjects: Sequence[Subject], stamps_s: Sequence[float]) -> list[Sighting]:
    """Return the true answer for the subjects of a chunk's frames and the stamps of its pairs.

    A subject counts from the first pair in which either frame shows it.
    """
    found: list[Sighting] = []
    for index, subject in enumerate(subjects):
        if not found or subject != found[-1].subject:
            found.append(Sighting(stamps_s[index // 2], subject))
    return found


def merged(parts: Iterable[Sequence[Sighting]]) -> list[Sighting]:
    """One list of what neighbouring parts tell: what a part repeats of the one before is told once."""
    told: list[Sighting] = []
    before: set[Subject] = set()
    for part in parts:
        told += [sighting for sighting in part if sighting.subject not in before]
        before = {sighting.subject for sighting in part}
    return told


def answer_of(seen: Iterable[Sighting]) -> str:
    """The text that the model should write."""
    return "\n".join(map(str, seen)) or NOT_SEEN


def stamps_s(times_s: Sequence[float]) -> list[float]:
    """The stamp of each pair of frames: the mean of their times, in whole milliseconds; an odd last frame is both."""
    times_ms = [round(time_s * 1000) for time_s in times_s]
    times_ms += times_ms[-1:] * (len(times_ms) % 2)
    return [(first / 1000 + second / 1000) / 2 for first, second in zip(times_ms[::2], times_ms[1::2], strict=True)]


def random_timeline(
    generator: np.random.Generator, starts_s: Sequence[float], duration_s: float, aspect: float, *, alike: bool = False
) -> Timeline:
    """Draw a timeline whose neighbouring subjects differ; no subject comes back within the last eight.

    Args:
        generator: decides everything else.
        starts_s: of the scenes, the first of them 0.
        duration_s: of the whole.
        aspect: width over height of the picture.
        alike: neighbours share their colour or their shape.
    """
    subjects: list[Subject] = []
    for _ in starts_s:
        fresh = [subject for subject in SUBJECTS if subject not in subjects[-8:]]
        if alike and subjects:
            last = subjects[-1]
            fresh = [subject for subject in fresh if (subject.colour == last.colour) != (subject.shape == last.shape)]
        subjects.append(fresh[generator.integers(len(fresh))] if fresh else SUBJECTS[generator.integers(24)])
    return Timeline(
        tuple(random_scene(generator, start_s, subject) for start_s, subject in zip(starts_s, subjects, strict=True)),
        duration_s,
        aspect,
    )


def random_scene(generator: np.random.Generator, start_s: float, subject: Subject) -> Scene:
    """Draw place, size, motion and the exact colours of a scene."""
    radius = generator.uniform(0.17, 0.36)
    room = 0.5 - radius
    x, y = generator.uniform(-room, room, 2)
    dx, dy = generator.uniform(-0.03, 0.03, 2)
    tint = np.clip(np.array(COLOURS[subject.colour]) + generator.integers(-18, 19, 3), 0, 255)
    ground = generator.integers(8, 72) + generator.integers(-8, 9, 3)
    return Scene(start_s, subject, radius, x, y, dx, dy, tuple(tint.tolist()), tuple(ground.tolist()))


def render(timeline: Timeline, times_s: Sequence[float], height_px: int, width_px: int) -> np.ndarray:
    """Draw what is on screen at each time: uint8 (T, height_px, width_px, 3) RGB.

    The picture may be squeezed: its sides need not have the timeline's aspect.
    """
    half_width, half_height = (timeline.aspect / 2, 0.5) if timeline.aspect >= 1 else (0.5, 0.5 / timeline.aspect)
    finer = SUPERSAMPLING if max(height_px, width_px) <= SMALL_PX else 1
    pictures = np.empty((len(times_s), height_px, width_px, 3), np.uint8)
    for picture, time_s in zip(pictures, times_s, strict=True):
        scene = timeline.scenes[timeline.index_at(time_s)]
        picture[:] = scene.ground
        age_s, radius = time_s - scene.start_s, scene.radius
        centre_x = _bounce(scene.x * 2 * half_width + scene.dx_per_s * age_s, half_width - radius)
        centre_y = _bounce(scene.y * 2 * half_height + scene.dy_per_s * age_s, half_height - radius)
        across = _pixels(centre_x - radius, centre_x + radius, half_width, width_px)
        down = _pixels(centre_y - radius, centre_y + radius, half_height, height_px)
        x = (_samples(across, half_width, width_px, finer) - centre_x)[None, :] / radius
        y = (_samples(down, half_height, height_px, finer) - centre_y)[:, None] / radius
        inside = _inside(scene.subject.shape, x, y).view(np.uint8)
        parts = inside.reshape(down.stop - down.start, finer, -1, finer)
        share = parts.sum((1, 3), dtype=np.uint8)[..., None] * np.float32(1 / finer**2)
        picture[down, across] = share * np.float32(scene.tint) + (1 - share) * np.float32(scene.ground) + 0.5
    return pictures


def add_clock(generator: np.random.Generator, pictures: np.ndarray) -> None:
    """Put what is left of a small grey clock, a smear that changes with time, into a corner of small pictures."""
    height_px, width_px = pictures.shape[1:3]
    rows, columns = int(generator.integers(1, 4)), int(generator.integers(6, 15))
    row = generator.choice([2, height_px - 2 - rows])
    column = generator.choice([2, width_px - 2 - columns])
    grey = generator.integers(40, 110) + generator.integers(-20, 21, (len(pictures), rows, columns, 1))
    pictures[:, row : row + rows, column : column + columns] = grey


def _pixels(first: float, last: float, half: float, size_px: int) -> slice:
    """The pixels of a side that an interval touches."""
    scale = size_px / (2 * half)
    return slice(max(0, int((first + half) * scale)), min(size_px, int((last + half) * scale) + 1))


def _samples(pixels: slice, half: float, size_px: int, finer: int) -> np.ndarray:
    """The places within pixels at which a shape is looked up, in short sides from the picture's centre."""
    numbers = np.arange(pixels.start * finer, pixels.stop * finer, dtype=np.float32)
    return (numbers + 0.5) * np.float32(2 * half / (size_px * finer)) - np.float32(half)


def _bounce(position: float, reach: float) -> float:
    """Reflect a position that moves on for ever into [-reach, reach]."""
    if reach <= 0:
        return 0.0
    phase = (position + reach) % (4 * reach)
    return phase - reach if phase <= 2 * reach else 3 * reach - phase


def _inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie in a shape around the origin that fills the square of side 2."""
    if shape == "circle":
        return x * x + y * y <= 1
    if shape == "square":
        return (np.abs(x) <= 0.85) & (np.abs(y) <= 0.85)
    if shape == "triangle":
        return (y <= 0.9) & (np.abs(x) * 1.8 <= y + 0.9)
    return (np.maximum(np.abs(x), np.abs(y)) <= 1) & (np.minimum(np.abs(x), np.abs(y)) <= 0.3)


def add_noise(generator: np.random.Generator, pictures: np.ndarray, level: float) -> np.ndarray:
    """Add grain of a standard deviation, in steps of 255; one field of it, moved about, serves all pictures."""
    if not level:
        return pictures
    height_px, width_px = pictures.shape[1:3]
    field = np.rint(generator.normal(0, level, (height_px + 16, width_px + 16, 3))).astype(np.int16)
    noisy = pictures.astype(np.int16)
    for index, (row, column) in enumerate(generator.integers(0, 17, (len(noisy), 2))):
        noisy[index] += field[row : row + height_px, column : column + width_px]
    return noisy.clip(0, 255).astype(np.uint8)
