#!/usr/bin/env bash
# In MPEG-TS libav's backward seek to a keyframe lands after the wanted time, where the wanted picture has gone by.
#
# Guess: One would expect that container.seek(offset, backward=True, any_frame=False) goes to the keyframe at or before
# the offset in every seekable container, so that decoding from there reaches the picture at the offset.
#
# Behaviour: in MP4 and Matroska it does. In MPEG-TS, which has no index, libav finds a place in the file by bisection
# on the packets' times and stops at whatever packet stands there. The first decodable picture is then the *next*
# keyframe: for a wanted time of 5.0 s the first picture is that of 6.0 s, and for 6.0 s, exactly on a keyframe, that of
# 8.0 s. A reader that drops what is before the wanted time, as is usual, silently gives a picture up to a whole group
# of pictures late. It has to check the first keyframe's time and to seek again, further back.
#
# Source: PyAV's documentation of InputContainer.seek says that the default looks back for a keyframe, and recommends it
# for decoding from there; libavformat/avformat.h describes AVSEEK_FLAG_BACKWARD and AVSEEK_FLAG_ANY likewise. Neither
# names a format in which this does not hold, but PyAV's text has a "roughly".
#
# Versions: PyAV 18.1.0 (with FFmpeg 8.1), Debian 12 ffmpeg 5.1.9 (makes the film). Date: 2026-12-01.
# Output seen (wanted time: first packet, first picture; keyframes every 2 s):
#   film.mp4  5.00: 4.00 4.00  6.00: 6.00 6.00  7.90: 6.00 6.00
#   film.mkv  5.00: 4.00 4.00  6.00: 6.00 6.00  7.90: 6.00 6.00
#   film.ts  5.00: 5.16 6.00  6.00: 6.04 8.00  7.90: 7.92 8.00
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0
ffmpeg -version | sed -n 1p
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -c:v libx264 -threads 1 -bf 2 -g 50 -keyint_min 50 \
    -sc_threshold 0 -pix_fmt yuv420p film.mp4
ffmpeg -nostdin -v error -i film.mp4 -c copy film.mkv
ffmpeg -nostdin -v error -i film.mp4 -c copy film.ts

venv/bin/python - <<'PYTHON'
import av


def after_seek(path, wanted_s, read):
    with av.open(path) as container:
        stream = container.streams.video[0]
        start = stream.start_time or 0
        container.seek(start + int(wanted_s / stream.time_base), stream=stream, backward=True, any_frame=False)
        return float((next(read(container, stream)).pts - start) * stream.time_base)


def packets(container, stream):
    return container.demux(stream)


def frames(container, stream):
    return container.decode(stream)


for path, lands_late in (("film.mp4", False), ("film.mkv", False), ("film.ts", True)):
    line = path
    for wanted_s in (5.0, 6.0, 7.9):
        packet_s, picture_s = after_seek(path, wanted_s, packets), after_seek(path, wanted_s, frames)
        line += f"  {wanted_s:.2f}: {packet_s:.2f} {picture_s:.2f}"
        assert (picture_s > wanted_s + 0.01) == lands_late
    print(line)
PYTHON
echo "finding holds"
