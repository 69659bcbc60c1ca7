#!/usr/bin/env bash
# libavcodec's VP9 decoder ignores skip_frame: a request for keyframes alone decodes and returns every picture.
#
# Guess: One would expect that skip_frame="NONKEY" makes any decoder return keyframes alone, as it does for H.264 and
# VP8 (or that a decoder which cannot do so refuses the option), and that it saves the time of decoding the rest.
#
# Behaviour: the option is accepted and reads back as set, and all 250 pictures of a VP9 film come out, 5 of them
# keyframes. Code that takes the pictures of such a decoder for a coarse index of the film gets the whole film, in whole
# decoding time. The pictures have to be filtered by frame.key_frame, or better the packets by packet.is_keyframe.
#
# Source: FFmpeg's codec documentation ("skip_frame", "nokey") and the field's comment in libavcodec/avcodec.h describe
# the option for decoders in general and name no codec for which it does nothing.
#
# Versions: Debian 12 ffmpeg 5.1.9, PyAV 18.1.0 (with FFmpeg 8.1). Date: 2026-12-01.
# Output seen:
#   h264 PyAV: 5 pictures, 5 of them keyframes; ffmpeg: 5
#   vp8 PyAV: 5 pictures, 5 of them keyframes; ffmpeg: 5
#   vp9 PyAV: 250 pictures, 5 of them keyframes; ffmpeg: 250
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0
ffmpeg -version | sed -n 1p
film() { ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -threads 1 -g 50 "$@"; }
film -c:v libx264 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p h264.mkv
film -c:v libvpx -deadline realtime -cpu-used 8 vp8.mkv
film -c:v libvpx-vp9 -deadline realtime -cpu-used 8 vp9.mkv

venv/bin/python - <<'PYTHON'
import subprocess

import av

for codec, expected in (("h264", 5), ("vp8", 5), ("vp9", 250)):
    path = f"{codec}.mkv"
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        frames = [frame.key_frame for frame in container.decode(stream)]
        assert stream.codec_context.skip_frame == "NONKEY"
    probe = f"ffprobe -v error -skip_frame nokey -count_frames -show_entries stream=nb_read_frames -of csv=p=0 {path}"
    by_ffmpeg = int(subprocess.run(probe.split(), capture_output=True, check=True).stdout.decode().strip().rstrip(","))
    print(f"{codec} PyAV: {len(frames)} pictures, {sum(frames)} of them keyframes; ffmpeg: {by_ffmpeg}")
    assert (len(frames), sum(frames), by_ffmpeg) == (expected, 5, expected)
PYTHON
echo "finding holds"
