#!/usr/bin/env bash
# H.264 with B pictures in an ASF or AVI file comes out of libav with the decoding times as presentation times.
#
# Guess: One would expect that frame.pts rises from picture to picture in every container, because a decoder gives its
# pictures in the order of showing. At the very least ffmpeg should read back the times of a file that it wrote itself.
#
# Behaviour: copied into Matroska the film has its times. Copied by the same program into ASF or AVI, every picture gets
# the time of the packet it was coded in, which is when that packet is decoded. The times jump forwards and backwards
# by up to 0.16 s, without a warning; frame.pts is set, so nothing shows that it is not a presentation time. The
# *set* of the times is right: sorted, they are the film's even times (here one picture later, to within a picture).
#
# Source: libavutil/frame.h describes AVFrame.pts as the time at which the frame should be shown, and PyAV's
# documentation of Frame.pts says the same. ASF calls the field that holds the time "presentation time";
# libavformat/asfenc.c fills it with the packet's DTS, and the demuxer takes it for the time of showing.
#
# Versions: Debian 12 ffmpeg 5.1.9, PyAV 18.1.0 (with FFmpeg 8.1). Date: 2026-12-01.
# Output seen:
#   film.mkv 250 pictures, starts 0.00 0.04 0.08 0.12 0.16 0.20, steps back 0 times
#   film.asf 250 pictures, starts 0.04 0.12 0.16 0.08 0.24 0.20, steps back 85 times
#   film.avi 250 pictures, starts 0.04 0.12 0.16 0.08 0.24 0.20, steps back 85 times
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0
ffmpeg -version | sed -n 1p
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -c:v libx264 -threads 1 -bf 2 -g 50 \
    -pix_fmt yuv420p film.mp4
for container in mkv asf avi; do
    ffmpeg -nostdin -v error -i film.mp4 -c copy "film.$container"
done

venv/bin/python - <<'PYTHON'
import av


def times_s(path):
    with av.open(path) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


for path, goes_back in (("film.mkv", False), ("film.asf", True), ("film.avi", True)):
    times = times_s(path)
    steps_back = sum(after < before for before, after in zip(times, times[1:]))
    first = " ".join(f"{time:.2f}" for time in times[:6])
    print(f"{path} {len(times)} pictures, starts {first}, steps back {steps_back} times")
    assert len(times) == 250
    assert (steps_back > 0) == goes_back
    in_order = sorted(times)
    assert len(set(times)) == 250
    assert max(abs(time - in_order[0] - 0.04 * number) for number, time in enumerate(in_order)) < 0.041
PYTHON
echo "finding holds"
