#!/usr/bin/env bash
# Field-coded HEVC comes out of libav as pictures of half height at twice the rate, not marked as fields.
#
# Guess: One would expect that interlaced HEVC, like interlaced H.264 and MPEG-2 (also where these code each field as
# a picture), comes out as frames of full height with both fields woven together and interlaced_frame set.
#
# Behaviour: HEVC has no coding tools for frames of two fields; an interlaced HEVC stream is a sequence of single
# fields, and libavcodec returns each as a frame of its own: 320x96 at 50 a second for video of 320x192 at 25. The
# stream's declared size is that of a field, too. Whoever shows or resizes these frames by their size and sample aspect
# ratio gets pictures squeezed to half their height; deinterlacing filters find nothing to do, because ffprobe's
# field_order and PyAV's interlaced_frame do not say so in this file.
#
# Source: ITU-T H.265, D.3.3 (field_seq_flag, pic_struct): it is for the display process to pair the fields. FFmpeg's
# documentation says nothing; for H.264 libavcodec pairs them by itself.
#
# Versions: PyAV 18.1.0 (with FFmpeg 8.1), Debian 12 ffmpeg 5.1.9 with x265 3.5 (makes the films). Date: 2026-12-01.
# Output seen:
#   h264.mp4: 50 pictures of 320x192, stream 320x192, 25 a second, interlaced_frame True
#   hevc.mp4: 100 pictures of 320x96, stream 320x96, 50 a second, interlaced_frame False
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0
ffmpeg -version | sed -n 1p
film() { ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x192:r=50:d=2 -pix_fmt yuv420p "$@"; }
film -vf tinterlace=interleave_top -c:v libx264 -threads 1 -flags +ildct+ilme -x264-params tff=1 h264.mp4
film -vf tinterlace=interleave_top,separatefields -c:v libx265 \
    -x265-params field=1:interlace=tff:pools=none:frame-threads=1:log-level=error hevc.mp4

venv/bin/python - <<'PYTHON'
import av

for path, expected in (("h264.mp4", (50, 192, 25, True)), ("hevc.mp4", (100, 96, 50, False))):
    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = [(frame.width, frame.height, frame.interlaced_frame) for frame in container.decode(stream)]
        declared = stream.codec_context
        (width, height, interlaced), rate = frames[10], stream.average_rate
        print(f"{path}: {len(frames)} pictures of {width}x{height}, stream {declared.width}x{declared.height}, "
              f"{rate} a second, interlaced_frame {interlaced}")
        assert (len(frames), height, rate, interlaced) == expected
        assert declared.height == height
PYTHON
echo "finding holds"
