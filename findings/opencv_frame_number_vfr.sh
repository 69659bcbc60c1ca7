#!/usr/bin/env bash
# In a film of variable rate OpenCV's CAP_PROP_POS_FRAMES leads to another picture than the one with that number.
#
# Guess: One would expect that after cap.set(CAP_PROP_POS_FRAMES, n) the next read() returns the n-th picture that
# reading from the start returns, or that set() or the position read back tells that it could not.
#
# Behaviour: the number is turned into a time by the average rate, and back. In a film that has 5 pictures a second at
# first and 25 later (a screen recording, a phone's film in the dark), number 130 leads to picture 90, seconds earlier.
# set() returns True and CAP_PROP_POS_FRAMES reads 131 afterwards. Small numbers may hit by luck: OpenCV reads on from
# where it is when the number is near. All sampling by number, which several loaders of vision-language models do,
# takes its pictures from other places than their stated times.
#
# Source: OpenCV's documentation of VideoCaptureProperties: CAP_PROP_POS_FRAMES is the "0-based index of the frame to be
# decoded/captured next".
#
# Versions: opencv-python-headless 5.0.0.93, NumPy 2.3.5, Debian 12 ffmpeg 5.1.9 (makes the film). Date: 2026-12-01.
# Output seen (number set -> picture read, number reported after it):
#   constant.mp4 60->60 (61) 100->100 (101) 130->130 (131) 145->145 (146)
#   variable.mp4 60->60 (61) 100->100 (101) 130->90 (131) 145->125 (146)
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.3.5
ffmpeg -version | sed -n 1p
film() {
    ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -vf "select='$1'" -fps_mode vfr \
        -c:v libx264 -threads 1 -bf 0 -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p "$2"
}
film "lt(n,150)" constant.mp4
film "lt(t,5)*not(mod(n,5))+gte(t,5)" variable.mp4

OPENCV_FFMPEG_CAPTURE_OPTIONS="threads;1" venv/bin/python - <<'PYTHON'
import cv2
import numpy as np

WANTED = (60, 100, 130, 145)
found = {}
for path in ("constant.mp4", "variable.mp4"):
    capture = cv2.VideoCapture(path)
    film = []
    while (read := capture.read())[0]:
        film.append(read[1][::4, ::4].astype(np.int16))
    assert len(film) == 150
    capture = cv2.VideoCapture(path)
    line = path
    found[path] = []
    for wanted in WANTED:
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, wanted)
        picture = capture.read()[1][::4, ::4]
        number = int(np.argmin([np.abs(picture - one).mean() for one in film]))
        found[path].append(number)
        reported = int(capture.get(cv2.CAP_PROP_POS_FRAMES))
        line += f" {wanted}->{number} ({reported})"
        assert reported == wanted + 1
    print(line)
assert found["constant.mp4"] == list(WANTED)
assert max(wanted - number for wanted, number in zip(WANTED, found["variable.mp4"])) >= 20
PYTHON
echo "finding holds"
