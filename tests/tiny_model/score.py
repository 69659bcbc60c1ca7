"""Scores an answer against the truth."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tiny_model.world import Sighting, Subject

LINE = re.compile(r"<([0-9]+\.[0-9]) seconds> ([a-z]+) ([a-z]+)")
NEAR_S = 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one answer."""

    exact: bool
    count: bool
    """Whether the answer has as many lines as there are scenes."""
    scenes: int
    """The number of scenes in the truth, or in the answer if it has more."""
    named: int
    """The number of scenes that are named in the right order."""
    timed: int
    """How many of those have a time within NEAR_S of the true one."""


def sightings_in(text: str) -> list[Sighting]:
    """Parse the lines of an answer that have the right form."""
    return [Sighting(float(stamp), Subject(colour, shape)) for stamp, colour, shape in LINE.findall(text)]


def score(answer: str, truth: Sequence[Sighting]) -> Score:
    """Compare an answer with the truth."""
    given = sightings_in(answer)
    matcher = SequenceMatcher(
        a=[sighting.subject for sighting in given], b=[sighting.subject for sighting in truth], autojunk=False
    )
    pairs = [
        (given[block.a + offset], truth[block.b + offset])
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    ]
    return Score(
        exact=answer.strip() == "\n".join(map(str, truth)),
        count=len(answer.strip().splitlines()) == len(truth),
        scenes=max(len(truth), len(given)),
        named=len(pairs),
        timed=sum(abs(one.stamp_s - other.stamp_s) <= NEAR_S for one, other in pairs),
    )


def summary(scores: Iterable[Score]) -> dict[str, float]:
    """Return shares over many answers, by the keys that the benchmark publishes."""
    scores = list(scores)
    scenes, named = sum(score.scenes for score in scores), sum(score.named for score in scores)
    return {
        "scene_accuracy": named / scenes,
        "count_accuracy": sum(score.count for score in scores) / len(scores),
        "start_within_1s": sum(score.timed for score in scores) / max(1, named),
        "exact": sum(score.exact for score in scores) / len(scores),
    }
