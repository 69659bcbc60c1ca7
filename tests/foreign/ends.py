"""Videos whose last picture stays, and files that really end too early."""

from functools import partial

from clips import numbered_pictures
from foreign.case import Foreign, Part, Right
from foreign.media import H264, encoded_with_times, film, remuxed

TIMES_S = tuple(float(at_s) for at_s in range(10))
X264 = {"bf": "0", "preset": "veryfast"}
VPX = {"cpu-used": "8", "deadline": "realtime", "b": "1M", "lag-in-frames": "0"}
SCREEN = Right((Part(0, 10, 0, 1), Part(10, 25, 9, 0)), duration_s=25, num_pictures=10)
"""A picture a second for ten seconds, then nothing changes for fifteen."""


def last_picture_stays(container: str) -> bytes:
    """The container says how long the last picture stays."""
    mp4 = encoded_with_times("a.mp4", "libx264", X264, numbered_pictures(10), TIMES_S, 16)
    return mp4 if container == "mp4" else remuxed(f"a.{container}", "-c copy", mp4)


def sound_goes_on() -> bytes:
    """A screen recording as a browser writes it: no durations, and sound to the end."""
    recorded = encoded_with_times("a.webm", "libvpx", VPX, numbered_pictures(10), TIMES_S, 1, sound_s=25)
    return remuxed("a.webm", "-c copy -f webm -live 1", recorded)


def sound_is_longer() -> bytes:
    """The pictures end at 4 s, the sound at 20 s."""
    silence = "-f lavfi -i anullsrc=r=16000:cl=mono -t 20 -map 0:v -map 1:a -c:v copy -c:a aac"
    return remuxed("a.mp4", silence, film("a.mp4"))


def cut_short(name: str, options: str, share: float) -> bytes:
    """The file ends in the middle."""
    content = film(name, options, num_pictures=200)
    return content[: int(share * len(content))]


def cut_off(name: str, coverage: tuple[float, float], options: str = H264) -> Foreign:
    right = Right((Part(0, 8, 0),), "partial", coverage)
    return Foreign(f"cut_short.{name}", KIND, partial(cut_short, f"a.{name}", options, 0.6), right)


KIND = "end"
WITH_SOUND = Right((Part(0, 4, 0),), duration_s=4, num_pictures=100, says=("sound", "audio"))
HELD_TO_THE_END = Right((Part(0, 4, 0), Part(4, 20, 99, 0)), duration_s=20, num_pictures=100)
INPUTS = [
    Foreign("sound_goes_on.webm", KIND, sound_goes_on, SCREEN, sample_fps=2, is_quick=True),
    Foreign("last_picture_stays.mkv", KIND, partial(last_picture_stays, "mkv"), SCREEN, sample_fps=2, is_quick=True),
    Foreign("last_picture_stays.mp4", KIND, partial(last_picture_stays, "mp4"), SCREEN, sample_fps=2),
    Foreign("sound_is_longer.mp4", KIND, sound_is_longer, WITH_SOUND, (HELD_TO_THE_END,), sample_fps=5),
    cut_off("mkv", (0.4, 0.8)),
    cut_off("flv", (0.4, 1.0)),
    cut_off("ts", (0.4, 1.0)),
    cut_off("ogv", (0.4, 1.0), "-c:v libtheora -q 8 -g 50"),
]
