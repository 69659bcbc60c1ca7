#!/usr/bin/env bash
# Joining losslessly cut MP4 clips with ffmpeg's concat demuxer brings the pictures back that had been cut off.
#
# Guess: One would expect that two clips of 52 pictures each, joined with -f concat -c copy, make a film of 104 pictures,
# in a row. Each clip plays right by itself, and the concat demuxer opens each one with libav's own MP4 reader.
#
# Behaviour: a cut with -ss … -c copy starts at the keyframe before and hides what is before the cut by an edit list.
# The reader drops the hidden pictures by a flag on their packets, which the joined file cannot express: it gets one
# edit list, for its own start. Where the second clip begins, its 28 hidden pictures are shown, at times that step back
# and lie 0.1 ms apart, and the film's average rate becomes 30.19 a second instead of 25. No warning, exit status 0.
# Nothing can be mended afterwards: a clip for joining has to be cut at a keyframe or encoded anew.
#
# Source: FFmpeg's format documentation of the concat demuxer asks that all files have the same streams and describes
# how their timestamps are adjusted; it says nothing of edit lists or hidden packets.
#
# Versions: Debian 12 ffmpeg 5.1.9, PyAV 18.1.0 (with FFmpeg 8.1, reads the result likewise). Date: 2026-12-01.
# Output seen:
#   first.mp4 52 pictures, 0.00 to 2.04 s, steps back 0 times, average rate 25
#   second.mp4 52 pictures, 0.00 to 2.08 s, steps back 0 times, average rate 25
#   joined.mp4 132 pictures, 0.00 to 4.18 s, steps back 9 times, average rate 1600/53
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0
ffmpeg -version | sed -n 1p
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -c:v libx264 -threads 1 -bf 2 -g 50 -keyint_min 50 \
    -sc_threshold 0 -pix_fmt yuv420p film.mp4
ffmpeg -nostdin -v error -ss 3.1 -i film.mp4 -t 2 -c copy first.mp4
ffmpeg -nostdin -v error -ss 7.1 -i film.mp4 -t 2 -c copy second.mp4
printf "file %s\n" first.mp4 second.mp4 > list.txt
ffmpeg -nostdin -v error -f concat -i list.txt -c copy joined.mp4

venv/bin/python - <<'PYTHON'
import av

pictures = {}
for path in ("first.mp4", "second.mp4", "joined.mp4"):
    with av.open(path) as container:
        stream = container.streams.video[0]
        times = [frame.time for frame in container.decode(stream)]
        back = sum(after <= before for before, after in zip(times, times[1:]))
        print(f"{path} {len(times)} pictures, {times[0]:.2f} to {times[-1]:.2f} s, steps back {back} times, "
              f"average rate {stream.average_rate}")
        pictures[path] = (len(times), back > 0)
assert pictures == {"first.mp4": (52, False), "second.mp4": (52, False), "joined.mp4": (132, True)}
PYTHON
echo "finding holds"
