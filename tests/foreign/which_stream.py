"""Files with more than one stream of moving pictures: which of them is the film, and that there are others."""

from dataclasses import replace
from functools import partial

from foreign.case import Foreign, Right, whole
from foreign.media import H264, film, remuxed

FILM = whole(100)
SMALL = f"-vf scale=128:64 {H264}"
ONE_JPEG = "-frames:v 1 -vf scale=128:64 -c:v mjpeg -q:v 3 -pix_fmt yuvj420p"
BOTH = "-map 0:v -map 1:v -c copy"
NO_FLAGS = "-disposition:v:0 0 -disposition:v:1 0"
SECOND_IS_DEFAULT = "-disposition:v:0 0 -disposition:v:1 default"
BOTH_ARE_DEFAULT = "-disposition:v:0 default -disposition:v:1 default"
OTHERS_ARE_NAMED = replace(FILM, says=("stream",))


def jpeg_first(container: str) -> bytes:
    """One small JPEG picture that no flag marks as cover art, then the film, as drones write them."""
    return remuxed(f"a.{container}", BOTH, film("a.mov", ONE_JPEG, first=200, num_pictures=1), film("a.mp4"))


def short_preview_first() -> bytes:
    """A second of other pictures that is not the default track, then the film."""
    return remuxed("a.mkv", f"{BOTH} {SECOND_IS_DEFAULT}", film("a.mp4", first=200, num_pictures=25), film("a.mp4"))


def second_is(container: str, flags: str, first_options: str, num_pictures: int) -> bytes:
    """A stream of other pictures, then the film."""
    other = film("a.mp4", first_options, first=150, num_pictures=num_pictures)
    return remuxed(f"a.{container}", f"{BOTH} {flags}", other, film("a.mp4"))


def two_cameras() -> bytes:
    """Two films of the same length, size and flags; one of them is read, and the result says that there is another."""
    return remuxed("a.mkv", f"{BOTH} {BOTH_ARE_DEFAULT}", film("a.mp4"), film("a.mp4", first=100))


def cover_art_first() -> bytes:
    """Cover art that is marked as such, before the film."""
    cover = film("a.mov", ONE_JPEG, first=200, num_pictures=1)
    return remuxed("a.mp4", f"{BOTH} -disposition:v:0 attached_pic", cover, film("a.mp4"))


def still_alone() -> bytes:
    """A film of one picture: it is a video too."""
    return film("a.mp4", num_pictures=1)


KIND = "which stream"
INPUTS = [
    Foreign("jpeg_first.mp4", KIND, partial(jpeg_first, "mp4"), FILM, is_quick=True),
    Foreign("jpeg_first.mkv", KIND, partial(jpeg_first, "mkv"), FILM),
    Foreign("short_preview_first.mkv", KIND, short_preview_first, FILM),
    Foreign("second_is_default.mp4", KIND, partial(second_is, "mp4", SECOND_IS_DEFAULT, SMALL, 100), FILM),
    Foreign("second_is_default.mkv", KIND, partial(second_is, "mkv", SECOND_IS_DEFAULT, SMALL, 100), FILM),
    Foreign("second_is_longer.mp4", KIND, partial(second_is, "mp4", BOTH_ARE_DEFAULT, H264, 50), FILM),
    Foreign("second_is_longer.ts", KIND, partial(second_is, "ts", "", H264, 25), FILM),
    Foreign("second_is_larger.mp4", KIND, partial(second_is, "mp4", BOTH_ARE_DEFAULT, SMALL, 100), FILM),
    Foreign("two_cameras.mkv", KIND, two_cameras, OTHERS_ARE_NAMED),
    Foreign("cover_art_first.mp4", KIND, cover_art_first, FILM),
    Foreign("still_alone.mp4", KIND, still_alone, whole(1)),
    Foreign("jpeg_alone.mov", KIND, partial(film, "a.mov", ONE_JPEG, num_pictures=1), Right(
        whole(1).parts, duration_s=0.04, num_pictures=1, size_px=(128, 64))),
]  # fmt: skip
