#!/usr/bin/env bash
# A JPEG that ffmpeg or PyAV's VideoFrame.save makes of an HD film shows other colours than the film.
#
# Guess: One would expect that `ffmpeg -i film.mp4 -frames:v 1 x.jpg` and frame.save("x.jpg") convert the picture to
# what a JPEG is by definition (BT.601 matrix, full range), so that red stays red. Both do convert the range.
#
# Behaviour: the range is converted and the BT.709 matrix of the film is kept, which JFIF cannot say, so a reader of
# the file decodes with the wrong one. Red is read 20 levels too dark, and a model that gets such files sees other
# colours than one that gets the pixels. Right are frame.to_image().save() and ffmpeg's
# -vf scale=out_color_matrix=bt601:out_range=full.
#
# Source: the JFIF specification (ITU-T T.871, clause 7) fixes the matrix of ITU-R BT.601. PyAV's documentation of
# VideoFrame.save offers JPEG and PNG as equal, and says nothing of the matrix.
#
# Versions: Debian 12 ffmpeg 5.1.9, PyAV 18.1.0 (with FFmpeg 8.1), Pillow 13.0.0, NumPy 2.3.5. Date: 2026-12-01.
# Output seen (the film's red is 251 after limited range and 4:2:0):
#   film's own pixels (251, 0, 0)
#   frame.save (231, 0, 1)
#   ffmpeg (231, 0, 1)
#   frame.to_image().save (250, 0, 1)
#   ffmpeg with bt601 (250, 0, 1)
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.3.5 pillow==13.0.0
ffmpeg -version | sed -n 1p
ffmpeg -nostdin -v error -f lavfi -i color=red:s=1280x720:r=25:d=1 -vf scale=out_color_matrix=bt709:out_range=tv \
    -c:v libx264 -threads 1 -colorspace bt709 -color_primaries bt709 -color_trc bt709 -pix_fmt yuv420p film.mp4
ffmpeg -nostdin -v error -i film.mp4 -frames:v 1 -q:v 1 ffmpeg.jpg
ffmpeg -nostdin -v error -i film.mp4 -frames:v 1 -q:v 1 -vf scale=out_color_matrix=bt601:out_range=full right.jpg

venv/bin/python - <<'PYTHON'
import av
from PIL import Image

with av.open("film.mp4") as container:
    frame = next(container.decode(video=0))
    film = tuple(int(level) for level in frame.to_ndarray(format="rgb24")[300, 300])
    frame.save("save.jpg", qscale=1)
    frame.to_image().save("image.jpg", quality=95)
print("film's own pixels", film)
reds = {}
for name, path in (("frame.save", "save.jpg"), ("ffmpeg", "ffmpeg.jpg"), ("frame.to_image().save", "image.jpg"),
                   ("ffmpeg with bt601", "right.jpg")):
    with Image.open(path) as image:
        reds[name] = image.convert("RGB").getpixel((300, 300))
    print(name, reds[name])
assert film[0] >= 250
assert all(reds[name][0] < 236 for name in ("frame.save", "ffmpeg"))
assert all(reds[name][0] >= 249 for name in ("frame.to_image().save", "ffmpeg with bt601"))
PYTHON
echo "finding holds"
