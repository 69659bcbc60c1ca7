#!/usr/bin/env bash
# libav plays an MP4's beginning again where the edit list asks for nothing to be shown.
#
# Guess: One would expect that an empty edit (media_time -1) in the middle of an edit list makes a gap: no picture for
# its duration, then the next part. That is what it does at the start of a list, where libav delays the track.
#
# Behaviour: with the list "4 s of film, 3 s of nothing, 6 s of film", the 75 pictures of the film's first 3 s come a
# second time during the gap, with times that go on evenly; 325 pictures instead of 250, no warning. A reader cannot
# tell: the times are even and the pictures whole. A model that is asked "when does X happen" sees X twice.
#
# Source: ISO/IEC 14496-12, 8.6.6 (edit list box): a media_time of -1 is an empty edit, and only the *last* edit of
# a track may not be one. The mov demuxer's option advanced_editlist, on by default, is documented to make the index
# follow the edit list.
#
# Versions: PyAV 18.1.0 (with FFmpeg 8.1), Debian 12 ffmpeg 5.1.9 (makes the film, and reads it likewise), NumPy 2.3.5.
# Date: 2026-12-01.
# Output seen:
#   250 pictures in the film, 325 with the gap by PyAV, 325 by ffprobe
#   time -> picture of the film: 3.00->75 3.96->99 4.00->0 5.00->25 6.96->74 7.00->100 12.96->249
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.3.5
ffmpeg -version | sed -n 1p
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -c:v libx264 -threads 1 -bf 0 -g 50 \
    -pix_fmt yuv420p -video_track_timescale 12800 film.mp4

venv/bin/python - <<'PYTHON'
import struct
import subprocess

import av
import numpy as np

MOVIE_SCALE, TRACK_SCALE = 1000, 12800
EDITS = ((4 * MOVIE_SCALE, 0), (3 * MOVIE_SCALE, -1), (6 * MOVIE_SCALE, 4 * TRACK_SCALE))
film = open("film.mp4", "rb").read()


def box(*names):
    """Offset and size of a box; names lead to it from the file down."""
    start, stop = 0, len(film)
    for name in names:
        while True:
            size, kind = struct.unpack_from(">I4s", film, start)
            if kind == name:
                break
            start += size
            assert start < stop
        found, start, stop = (start, size), start + 8, start + size
    return found


entries = b"".join(struct.pack(">IiHH", duration, media_time, 1, 0) for duration, media_time in EDITS)
edit_list = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(EDITS)) + entries
offset, size = box(b"moov", b"trak", b"edts", b"elst")
gap = bytearray(film[:offset] + edit_list + film[offset + size :])  # the media comes before it and stays in place
for path in ((b"moov",), (b"moov", b"trak"), (b"moov", b"trak", b"edts")):
    at, old = box(*path)
    struct.pack_into(">I", gap, at, old + len(edit_list) - size)
open("gap.mp4", "wb").write(gap)


def pictures(path):
    with av.open(path) as container:
        return [(round(frame.time, 2), frame.to_ndarray(format="gray").astype(np.int16))
                for frame in container.decode(video=0)]


original, played = pictures("film.mp4"), dict(pictures("gap.mp4"))
probe = "ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 gap.mp4".split()
by_ffprobe = int(subprocess.run(probe, capture_output=True, check=True).stdout.decode().strip().rstrip(","))
print(f"{len(original)} pictures in the film, {len(played)} with the gap by PyAV, {by_ffprobe} by ffprobe")
shown = {time: int(np.argmin([np.abs(played[time] - one).mean() for _, one in original]))
         for time in (3.0, 3.96, 4.0, 5.0, 6.96, 7.0, 12.96)}
print("time -> picture of the film:", " ".join(f"{time:.2f}->{number}" for time, number in shown.items()))
assert (len(original), len(played), by_ffprobe) == (250, 325, 325)
assert list(shown.values()) == [75, 99, 0, 25, 74, 100, 249]
PYTHON
echo "finding holds"
