#!/usr/bin/env bash
# libav obeys the end of an MP4's edit in an ordinary file and ignores it in a fragmented one.
#
# Guess: One would expect that the edit list "3 s of the film, from its second 2 on" shows the same 75 pictures,
# whether the film's samples lie in one piece or in fragments.
#
# Behaviour: in the ordinary file the reader gets 75 pictures, from 0 to 2.96 s. In the fragmented one it gets all 250:
# the 50 before the edit come with negative times, and the 125 after its end go on as if they belonged to it, up to
# 7.96 s. No packet is marked as discarded, so a reader cannot tell which pictures the film's author has cut off.
#
# Source: ISO/IEC 14496-12, 8.6.6 (edit list box): segment_duration is the duration of the edit; only 0 stands for all
# that follows in fragments. The mov demuxer's option advanced_editlist, on by default, is documented to make the index
# follow the edit list, without a word on fragments.
#
# Versions: PyAV 18.1.0 (with FFmpeg 8.1), Debian 12 ffmpeg 5.1.9 (makes the films, and reads them likewise).
# Date: 2026-12-01.
# Output seen:
#   ordinary: 75 pictures by PyAV, 75 by ffprobe; from 0.00 to 2.96 s
#   fragmented: 250 pictures by PyAV, 250 by ffprobe; from -2.00 to 7.96 s, 0 packets marked
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0
ffmpeg -version | sed -n 1p
encode() {
    ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -c:v libx264 -threads 1 -bf 0 -g 25 \
        -pix_fmt yuv420p -video_track_timescale 12800 "$@"
}
encode -use_editlist 0 ordinary.mp4
encode -use_editlist 0 -movflags frag_keyframe+empty_moov+default_base_moof fragmented.mp4

venv/bin/python - <<'PYTHON'
import struct
import subprocess

import av

MOVIE_SCALE, TRACK_SCALE = 1000, 12800
ENTRY = struct.pack(">IiHH", 3 * MOVIE_SCALE, 2 * TRACK_SCALE, 1, 0)
LIST = struct.pack(">I4sII", 16 + len(ENTRY), b"elst", 0, 1) + ENTRY
EDITS = struct.pack(">I4s", 8 + len(LIST), b"edts") + LIST


def box(content, *names):
    """Offset and size of a box; names lead to it from the file down."""
    start, stop = 0, len(content)
    for name in names:
        while struct.unpack_from(">I4s", content, start)[1] != name:
            start += struct.unpack_from(">I", content, start)[0]
            assert start < stop
        size = struct.unpack_from(">I", content, start)[0]
        found, start, stop = (start, size), start + 8, start + size
    return found


def with_edit(name):
    """Put the edit list before the track's media; what it describes comes before it, or counts from its fragment."""
    content = bytearray(open(f"{name}.mp4", "rb").read())
    for path in ((b"moov",), (b"moov", b"trak")):
        at, size = box(content, *path)
        struct.pack_into(">I", content, at, size + len(EDITS))
    at = box(content, b"moov", b"trak", b"mdia")[0]
    with open(f"{name}-edited.mp4", "wb") as file:
        file.write(content[:at] + EDITS + content[at:])


def describe(name):
    with av.open(f"{name}-edited.mp4") as container:
        times = [round(frame.time, 2) for frame in container.decode(video=0)]
    with av.open(f"{name}-edited.mp4") as container:
        marked = sum(packet.is_discard for packet in container.demux(video=0) if packet.size)
    probe = f"ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 {name}-edited.mp4"
    by_ffprobe = int(subprocess.run(probe.split(), capture_output=True, check=True).stdout.decode().strip().rstrip(","))
    print(f"{name}: {len(times)} pictures by PyAV, {by_ffprobe} by ffprobe; from {times[0]:.2f} to {times[-1]:.2f} s, "
          f"{marked} packets marked")
    return len(times), by_ffprobe, times[0], times[-1], marked


for name in ("ordinary", "fragmented"):
    with_edit(name)
ordinary, fragmented = describe("ordinary"), describe("fragmented")
assert ordinary[:4] == (75, 75, 0.0, 2.96), ordinary
assert fragmented == (250, 250, -2.0, 7.96, 0), fragmented
PYTHON
echo "finding holds"
