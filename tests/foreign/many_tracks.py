"""More tracks than libav reads by default, which is 64."""

from functools import partial

from foreign.case import Foreign, whole
from foreign.media import film, remuxed

NUM_TRACKS = 70
FILM = whole(100)


def subtitles(container: str, codec: str, lines: int) -> bytes:
    """The film and 70 tracks of subtitles."""
    text = "".join(
        f"{line + 1}\n00:00:00,{100 * line:03d} --> 00:00:00,{100 * line + 50:03d}\nline {line}\n\n"
        for line in range(lines)
    )
    maps = " ".join("-map 1" for _ in range(NUM_TRACKS))
    return remuxed(f"a.{container}", f"-map 0 {maps} -c:v copy -c:s {codec}", film("a.mp4"), text.encode())


def sounds(container: str) -> bytes:
    """The film and 70 tracks of silence."""
    maps = " ".join("-map 1" for _ in range(NUM_TRACKS))
    silence = "-f lavfi -i anullsrc=r=8000:cl=mono -t 4"
    return remuxed(f"a.{container}", f"{silence} -map 0 {maps} -c:v copy -c:a mp2 -ar 16000 -b:a 32k", film("a.mp4"))


KIND = "many tracks"
INPUTS = [
    Foreign("subtitles_two_lines.mkv", KIND, partial(subtitles, "mkv", "srt", 2), FILM),
    Foreign("subtitles_ten_lines.mkv", KIND, partial(subtitles, "mkv", "srt", 10), FILM),
    Foreign("subtitles.mp4", KIND, partial(subtitles, "mp4", "mov_text", 2), FILM, is_quick=True),
    Foreign("sounds.ts", KIND, partial(sounds, "ts"), FILM),
    Foreign("sounds.mkv", KIND, partial(sounds, "mkv"), FILM),
]
