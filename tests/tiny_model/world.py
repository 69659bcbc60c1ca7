"""The world that the tiny model knows: scenes in sequence, each with one coloured shape on a dark ground."""

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
"""Small pictures are drawn this many times larger and then averaged, which gives edges like those of a scaler."""
SMALL_PX = 128


class Subject(NamedTuple):
    """What a scene shows."""

    colour: str
    shape: str

    def __str__(self) -> str:
        """The words with which the model names the subject."""
        return f"{self.colour} {self.shape}"


SUBJECTS = tuple(Subject(colour, shape) for colour in COLOURS for shape in SHAPES)


@dataclass(frozen=True, slots=True)
class Scene:
    """One slowly moving subject.

    Positions and sizes are in units of the picture's shorter side, positions from its centre.
    """

    start_s: float
    subject: Subject
    radius: float
    x: float
    y: float
    dx_per_s: float
    dy_per_s: float
    tint: tuple[int, int, int]
    """The exact colour of the subject, which differs a little from the nominal one."""
    ground: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Scenes in time order, the first starting at 0 s; aspect is width divided by height."""

    scenes: tuple[Scene, ...]
    duration_s: float
    aspect: float

    def index_at(self, time_s: float) -> int:
        """Return the index of the scene on screen."""
        return max(0, bisect.bisect_right([scene.start_s for scene in self.scenes], time_s + 1e-6) - 1)

    def subject_at(self, time_s: float) -> Subject:
        """Return the subject on screen."""
        return self.scenes[self.index_at(time_s)].subject


class Sighting(NamedTuple):
    """A subject, and the time in seconds of the first pair of frames that shows it."""

    stamp_s: float
    subject: Subject

    def __str__(self) -> str:
        """The line that the model writes: the time as the prompt writes it, and the subject."""
        return f"<{self.stamp_s:.1f} seconds> {self.subject}"


def sightings(subjects: Sequence[Subject], stamps_s: Sequence[float]) -> list[Sighting]:
    """Return the true answer, given the subject of each frame of a chunk and the time of each pair.

    A subject counts from the first pair in which either frame shows it.
    """
    found: list[Sighting] = []
    for index, subject in enumerate(subjects):
        if not found or subject != found[-1].subject:
            found.append(Sighting(stamps_s[index // 2], subject))
    return found


def merged(parts: Iterable[Sequence[Sighting]]) -> list[Sighting]:
    """Merge the lists of successive parts, leaving out what a part repeats of the one before."""
    told: list[Sighting] = []
    before: set[Subject] = set()
    for part in parts:
        told += [sighting for sighting in part if sighting.subject not in before]
        before = {sighting.subject for sighting in part}
    return told


def answer_of(seen: Iterable[Sighting]) -> str:
    """Return the text that the model should write."""
    return "\n".join(map(str, seen)) or NOT_SEEN


def stamps_s(times_s: Sequence[float] | np.ndarray) -> list[float]:
    """Return the time of each pair of frames: the mean of its frames' times, each rounded to milliseconds.

    If the number of frames is odd, the last one is paired with itself.
    """
    times_ms = [round(time_s * 1000) for time_s in times_s]
    times_ms += times_ms[-1:] * (len(times_ms) % 2)
    return [(first / 1000 + second / 1000) / 2 for first, second in zip(times_ms[::2], times_ms[1::2], strict=True)]


def random_timeline(
    generator: np.random.Generator, starts_s: Sequence[float], duration_s: float, aspect: float, *, alike: bool = False
) -> Timeline:
    """Draw a timeline in which a subject does not occur again within the next eight scenes.

    Args:
        generator: the source of randomness.
        starts_s: when each scene starts; the first at 0.
        duration_s: the duration of the whole timeline.
        aspect: width of the picture divided by its height.
        alike: whether successive subjects share their colour or their shape.
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
    """Draw the position, size, motion and exact colours of a scene."""
    radius = generator.uniform(0.17, 0.36)
    room = 0.5 - radius
    x, y = generator.uniform(-room, room, 2)
    dx, dy = generator.uniform(-0.03, 0.03, 2)
    tint = np.clip(np.array(COLOURS[subject.colour]) + generator.integers(-18, 19, 3), 0, 255)
    ground = generator.integers(8, 72) + generator.integers(-8, 9, 3)
    return Scene(start_s, subject, radius, x, y, dx, dy, tuple(tint.tolist()), tuple(ground.tolist()))


def render(timeline: Timeline, times_s: Sequence[float] | np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Draw what is on screen at each time: uint8 (T, height_px, width_px, 3) RGB.

    The picture is stretched if its sides do not have the timeline's aspect.
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
        picture[down, across] = (
            share * np.asarray(scene.tint, np.float32) + (1 - share) * np.asarray(scene.ground, np.float32) + 0.5
        )
    return pictures


def add_clock(generator: np.random.Generator, pictures: np.ndarray) -> None:
    """Draw a small grey clock as it looks after downscaling, a smear that changes with time, into a corner."""
    height_px, width_px = pictures.shape[1:3]
    rows, columns = int(generator.integers(1, 4)), int(generator.integers(6, 15))
    row = generator.choice([2, height_px - 2 - rows])
    column = generator.choice([2, width_px - 2 - columns])
    grey = generator.integers(40, 110) + generator.integers(-20, 21, (len(pictures), rows, columns, 1))
    pictures[:, row : row + rows, column : column + columns] = grey


def _pixels(first: float, last: float, half: float, size_px: int) -> slice:
    """Return the pixels along a side that an interval touches."""
    scale = size_px / (2 * half)
    return slice(max(0, int((first + half) * scale)), min(size_px, int((last + half) * scale) + 1))


def _samples(pixels: slice, half: float, size_px: int, finer: int) -> np.ndarray:
    """Return the sample positions within pixels, in units of the shorter side from the picture's centre."""
    numbers = np.arange(pixels.start * finer, pixels.stop * finer, dtype=np.float32)
    return (numbers + 0.5) * np.float32(2 * half / (size_px * finer)) - np.float32(half)


def _bounce(position: float, reach: float) -> float:
    """Reflect a position that keeps moving in one direction into [-reach, reach]."""
    if reach <= 0:
        return 0.0
    phase = (position + reach) % (4 * reach)
    return phase - reach if phase <= 2 * reach else 3 * reach - phase


def _inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie inside a shape that is centred on the origin and fills a square of side 2."""
    if shape == "circle":
        return x * x + y * y <= 1
    if shape == "square":
        return (np.abs(x) <= 0.85) & (np.abs(y) <= 0.85)
    if shape == "triangle":
        return (y <= 0.9) & (np.abs(x) * 1.8 <= y + 0.9)
    return (np.maximum(np.abs(x), np.abs(y)) <= 1) & (np.minimum(np.abs(x), np.abs(y)) <= 0.3)


def add_noise(generator: np.random.Generator, pictures: np.ndarray, level: float) -> np.ndarray:
    """Add noise of standard deviation `level`, in pixel values; all pictures share one field, shifted at random."""
    if not level:
        return pictures
    height_px, width_px = pictures.shape[1:3]
    field = np.rint(generator.normal(0, level, (height_px + 16, width_px + 16, 3))).astype(np.int16)
    noisy = pictures.astype(np.int16)
    for index, (row, column) in enumerate(generator.integers(0, 17, (len(noisy), 2))):
        noisy[index] += field[row : row + height_px, column : column + width_px]
    return noisy.clip(0, 255).astype(np.uint8)
