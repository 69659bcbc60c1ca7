#!/usr/bin/env bash
# PyAV's demux reads past the end of a table when a stream appears after it has begun.
#
# Guess: One would expect that a stream which appears in the middle of a file (sound that begins late in an FLV, another
# programme in a transport stream) is left out of the packets of the streams that were asked for, or is added to them.
#
# Behaviour: InputContainer.demux allocates a table with a byte for each stream that there is as it begins, and looks up
# every packet's stream in it. For a later stream it looks after the table's end. What stands there is chance: where it
# is not zero, the stream counts as asked for, and demux ends in an IndexError after the last packet, so that everything
# decoded so far may be lost. With MALLOC_PERTURB_ glibc fills new memory, and the error comes every time.
# A file that is opened with probesize and analyzeduration beyond its end, and scan_all_pmts=1, has all its streams
# before demuxing begins; fflags=+nobuffer keeps libav from holding the packets that it reads meanwhile. Seeking to byte
# 0 then starts at the beginning. That costs one more pass over the file.
#
# Source: av/container/input.py of PyAV, InputContainer.demux (its own comment there: "find better way to handle this");
# https://github.com/PyAV-Org/PyAV/issues/692 reports the IndexError.
#
# Versions: PyAV 18.1.0 (with FFmpeg 8.1), Debian 12 ffmpeg 5.1.9 (makes the films). Date: 2026-12-01.
# Output seen:
#   as usual: 1 stream at the start, then IndexError after 250 packets
#   all of it probed: 2 streams at the start, 250 packets
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0
ffmpeg -version | sed -n 1p
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -c:v libx264 -threads 1 -pix_fmt yuv420p first.ts
ffmpeg -nostdin -v error -f lavfi -i sine=d=2 -c:a mp2 -mpegts_start_pid 0x300 -mpegts_pmt_start_pid 0x1100 \
    -mpegts_service_id 2 -output_ts_offset 10 second.ts
cat first.ts second.ts > late.ts

cat > demux.py <<'PYTHON'
import sys

import av

WHOLE = {"probesize": str(2**62), "analyzeduration": str(2**62), "scan_all_pmts": "1", "fflags": "+nobuffer"}
with av.open("late.ts", options=WHOLE if sys.argv[1] == "whole" else {}) as container:
    if sys.argv[1] == "whole":
        container.seek(0, unsupported_byte_offset=True)
    streams, packets, end = len(container.streams), 0, ""
    try:
        for packet in container.demux(container.streams.video[0]):
            packets += packet.size > 0
    except IndexError:
        end = "IndexError"
print(streams, packets, end)
PYTHON
export MALLOC_PERTURB_=85
read -r usual_streams usual_packets usual_end < <(venv/bin/python demux.py usual)
read -r whole_streams whole_packets whole_end < <(venv/bin/python demux.py whole) || true
echo "as usual: $usual_streams stream at the start, then ${usual_end:-no error} after $usual_packets packets"
echo "all of it probed: $whole_streams streams at the start, $whole_packets packets"
test "$usual_streams $usual_packets $usual_end" = "1 250 IndexError"
test "$whole_streams $whole_packets ${whole_end:-}" = "2 250 "
echo "finding holds"
