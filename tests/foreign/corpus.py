"""All inputs, and where they are kept."""

import hashlib
import inspect
import os
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import av

import bit_writer
import clips
from foreign import (
    colours,
    ends,
    holes,
    joined,
    keyframes,
    late_streams,
    many_tracks,
    matroska,
    media,
    not_video,
    paff,
    rarer,
    shapes,
    times,
    units,
    which_stream,
)
from foreign.case import Foreign

RECIPES = (
    which_stream, late_streams, many_tracks, holes, joined, ends, times, shapes, colours, keyframes, units, not_video,
    rarer,
)  # fmt: skip
SHARED = (bit_writer, clips, matroska, media, paff)
"""Modules on whose text the bytes of all inputs depend."""
INPUTS: tuple[Foreign, ...] = tuple(one for module in RECIPES for one in module.INPUTS)
DIRECTORY = Path(__file__).parents[2] / ".cache" / "foreign"


@cache
def _tools() -> bytes:
    version = subprocess.run(["ffmpeg", "-version"], check=True, capture_output=True).stdout
    return version + av.__version__.encode() + b"".join(inspect.getsource(module).encode() for module in SHARED)


def file_of(one: Foreign, directory: Path = DIRECTORY) -> Path:
    """Return an input's file; make it if there is none of this recipe and these tools."""
    make = one.make.func if isinstance(one.make, partial) else one.make
    arguments = repr((one.make.args, one.make.keywords)) if isinstance(one.make, partial) else ""
    recipe = inspect.getsource(sys.modules[make.__module__]) + arguments
    key = hashlib.blake2b(_tools() + recipe.encode(), digest_size=8).hexdigest()
    path = directory / key / one.name
    if not path.exists():
        content = one.make()
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{one.name}.{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    return path
