"""When pictures are on screen: missing times, late beginnings, edit lists."""

import re
import struct
from dataclasses import replace
from fractions import Fraction
from functools import partial

from clips import RATE_FPS
from foreign.case import Foreign, Part, Right, whole
from foreign.matroska import matroska
from foreign.media import FRAGMENTED, H264, HEVC, MPEG2, VP9, film, packets_with_times, remuxed, with_edits

TS_PACKET_BYTES, VIDEO_PID = 188, 0x100
NO_B = H264.replace("-bf 2", "-bf 0")
X265_GOP = f"{HEVC.replace('keyint=50', 'keyint=50:bframes=3:open-gop={}')}"
SHOWN_S = ((0.52, 0.96), (3.12, 1.28), (5.76, 1.44))
"""Start and duration of the parts of a lossless cut: pictures 13 to 36, 78 to 109 and 144 to 179."""
CUTS = Right(
    (Part(0, 0.96, 13), Part(0.96, 2.24, 78), Part(2.24, 3.68, 144)), duration_s=3.68, num_pictures=92
)  # fmt: skip


def sparse_pts(options: str, every: int) -> bytes:
    """A transport stream in which only some pictures have a time (ISO/IEC 13818-1, 2.7.4 asks for one every 0.7 s)."""
    content, number = bytearray(film("a.ts", options)), 0
    for at in range(0, len(content), TS_PACKET_BYTES):
        pid = (content[at + 1] & 0x1F) << 8 | content[at + 2]
        if pid != VIDEO_PID or not content[at + 1] & 0x40:
            continue
        header_at = at + 4 + (1 + content[at + 4] if content[at + 3] & 0x20 else 0)
        if number % every:
            content[header_at + 7] &= 0x3F
            times = slice(header_at + 9, header_at + 9 + content[header_at + 8])
            content[times] = b"\xff" * content[header_at + 8]
        number += 1
    return bytes(content)


def video_for_windows(options: str, fourcc: bytes) -> bytes:
    """Matroska as old converters write it: a Windows header for the codec, and the times at which packets are due."""
    _, packets = packets_with_times(film("a.avi", options))
    header = struct.pack("<IiiHH4sIiiII", 40, 256, 128, 1, 24, fourcc, 256 * 128 * 3, 0, 0, 0, 0)
    blocks = [(Fraction(number, RATE_FPS), is_key, content) for number, (_, is_key, content) in enumerate(packets)]
    return matroska("V_MS/VFW/FOURCC", header, (256, 128), blocks)


def begins_late_matroska() -> bytes:
    """The first picture is at 1.52 s, and no other stream begins earlier."""
    configuration, packets = packets_with_times(film("a.mp4", NO_B))
    blocks = [((at_s or Fraction(0)) + Fraction(38, RATE_FPS), is_key, content) for at_s, is_key, content in packets]
    return matroska("V_MPEG4/ISO/AVC", configuration, (256, 128), blocks)


def begins_late_fragmented() -> bytes:
    """Fragmented, without an edit list; the clock of its first fragment says 1.52 s (ISO/IEC 14496-12, 8.8.12)."""
    content = bytearray(film("a.mp4", f"{NO_B} {FRAGMENTED}"))
    (media_hz,) = struct.unpack_from(">I", content, content.index(b"mdhd") + 16)
    for found in re.finditer(b"tfdt\x01", bytes(content)):
        (at,) = struct.unpack_from(">Q", content, found.start() + 8)
        struct.pack_into(">Q", content, found.start() + 8, at + round(1.52 * media_hz))
    return bytes(content)


Edits = tuple[tuple[float | None, float, float], ...]


def edited(options: str, edits: Edits, num_pictures: int = 200, version: int = 0) -> bytes:
    """An MP4 with an edit list of its own."""
    return with_edits(film("a.mp4", options, num_pictures=num_pictures), edits, version)


def edited_beside_sound(edits: Edits) -> bytes:
    """The same beside a track of sound with an edit list and a clock of its own."""
    sound = "-f lavfi -t 8 -i anullsrc=r=48000:cl=mono -map 1 -map 0 -c:a aac -c:v copy"
    return with_edits(remuxed("a.mp4", sound, film("a.mp4", H264, num_pictures=200)), edits, version=1)


def edited_and_joined(count: int) -> bytes:
    """Two MP4s, of which the last ones have several edits."""
    files = [film("a.mp4", H264, num_pictures=200)] * 2
    return b"".join([*files[count:], *(with_edits(content, ((4, 2, 1), (1, 2, 1))) for content in files[:count])])


def lossless_cuts(options: str) -> bytes:
    """Three parts by an edit list; none of them begins at a keyframe."""
    return edited(options, tuple((start_s, duration_s, 1) for start_s, duration_s in SHOWN_S))


LATE = Right((Part(1.52, 5.52, 0),), duration_s=4, num_pictures=100)
EMPTY_MIDDLE = ((0.0, 3.0, 1), (None, 2.0, 1), (3.0, 3.0, 1))
GAP = Right((Part(0, 3, 0), Part(5, 8, 75)), duration_s=8, num_pictures=150)
SPAN_IS_TOLD = replace(GAP, status="partial", coverage=(0.7, 0.8))
FROZEN = Right((Part(0, 2, 0), Part(2, 4, 50, 0), Part(4, 6, 50)), duration_s=6, num_pictures=None)
PLAYED_TWICE = Right((Part(0, 2, 0), Part(2, 4, 0)), duration_s=4, num_pictures=100)
LOST = replace(CUTS, status="partial", coverage=(0.5, 0.99), num_pictures=None)
BACKWARDS = Right((Part(0, 2, 100), Part(2, 4, 25)), duration_s=4, num_pictures=100)
BEYOND = Right((Part(0, 2, 150), Part(4, 6, 0)), "partial", (0.6, 0.7), duration_s=6, num_pictures=100)
SLOW = Right((Part(0, 2, 0), Part(2, 6, 50, 12.5)), duration_s=6, num_pictures=100)
BEGINNINGS = Right((Part(0, 2, 0), Part(2, 4, 100)), duration_s=4, num_pictures=100)
NO_KEYFRAME = Right((Part(0, 4, 0), Part(4, 5.6, 55), Part(5.6, 7.2, 105)), duration_s=7.2, num_pictures=180)
"""From 4 s on."""
IN_FRAGMENTS = f"{H264} {FRAGMENTED}+delay_moov"
PLAIN = whole(100)
MISSING, BEGINS, EDITS = "missing time", "late begin", "edit list"
INPUTS = [
    Foreign("sparse_pts_h264.ts", MISSING, partial(sparse_pts, NO_B, 12), PLAIN, is_quick=True),
    Foreign("sparse_pts_h264_b.ts", MISSING, partial(sparse_pts, H264, 12), PLAIN),
    Foreign("sparse_pts_mpeg2.ts", MISSING, partial(sparse_pts, MPEG2, 12), PLAIN),
    Foreign("vfw_h264_b.mkv", MISSING, partial(video_for_windows, f"{H264} -bsf:v h264_mp4toannexb", b"H264"), PLAIN),
    Foreign("vfw_mpeg4.mkv", MISSING, partial(video_for_windows, "-c:v mpeg4 -q 3 -g 25 -bf 0", b"XVID"), PLAIN),
    Foreign("begins_late.mkv", BEGINS, begins_late_matroska, LATE, is_quick=True),
    Foreign("begins_late_fragmented.mp4", BEGINS, begins_late_fragmented, LATE),
    Foreign("empty_edit_first.mp4", BEGINS, partial(edited, NO_B, ((None, 1.52, 1), (0.0, 4.0, 1)), 100), LATE),
    Foreign("empty_edit_middle.mp4", EDITS, partial(edited, H264, EMPTY_MIDDLE), GAP, (SPAN_IS_TOLD,), is_quick=True),
    Foreign("empty_edit_middle_vp9.mp4", EDITS, partial(edited, VP9, EMPTY_MIDDLE), GAP, (SPAN_IS_TOLD,)),
    Foreign("rate_0_edit.mp4", EDITS, partial(edited, H264, ((0.0, 2.0, 1), (2.0, 2.0, 0), (2.0, 2.0, 1))), FROZEN, (
        replace(FROZEN, status="partial", coverage=(0.5, 0.8)),)),
    Foreign("played_twice.mp4", EDITS, partial(edited, H264, ((0.0, 2.0, 1), (0.0, 2.0, 1))), PLAYED_TWICE),
    Foreign("two_empty_edits.mp4", EDITS, partial(edited, NO_B, ((None, 1, 1), (None, 0.52, 1), (0, 4, 1)), 100), LATE),
    Foreign("edits_backwards.mp4", EDITS, partial(edited, X265_GOP.format(1), ((4, 2, 1), (1, 2, 1))), BACKWARDS),
    Foreign("edit_beyond_end.mp4", EDITS, partial(edited, H264, ((6, 4, 1), (0, 2, 1))), BEYOND),
    Foreign("edit_before_start.mp4", EDITS, partial(edited, NO_B, ((-1.52, 5.52, 1),), 100), LATE),
    Foreign("edit_without_end.mp4", EDITS, partial(edited, H264, ((4, 0, 1),)), whole(100, first=100)),
    Foreign("half_speed.mp4", EDITS, partial(edited, H264, ((0, 2, 1), (2, 4, 0.5))), SLOW),
    Foreign("edits_beside_sound.mp4", EDITS, partial(edited_beside_sound, ((4, 2, 1), (1, 2, 1))), BACKWARDS),
    Foreign("edits_joined.mp4", EDITS, partial(edited_and_joined, 1), Right(whole(200).parts, "partial", (0.4, 0.6))),
    Foreign("edits_joined_twice.mp4", EDITS, partial(edited_and_joined, 2), replace(
        BACKWARDS, status="partial", coverage=(0.4, 0.6))),
    Foreign("edits_of_fragments.mp4", EDITS, partial(edited, IN_FRAGMENTS, EMPTY_MIDDLE), GAP, (SPAN_IS_TOLD,)),
    Foreign("cut_fragments.mp4", EDITS, partial(edited, IN_FRAGMENTS, ((1.2, 4, 1),)), whole(100, first=30)),
    Foreign("keyframes_of_edits.mp4", EDITS, partial(edited, H264, ((0, 2, 1), (4, 2, 1)), version=1), BEGINNINGS,
            sample_fps=2, sampling="keyframes"),
    Foreign("edits_without_keyframes.mp4", EDITS, partial(edited, H264, ((0, 4, 1), (2.2, 1.6, 1), (4.2, 1.6, 1))),
            NO_KEYFRAME, sample_fps=2, sampling="keyframes"),
    Foreign("lossless_cuts_hevc.mp4", EDITS, partial(lossless_cuts, X265_GOP.format(0)), CUTS, (LOST,)),
    Foreign("lossless_cuts_hevc_open.mp4", EDITS, partial(lossless_cuts, X265_GOP.format(1)), CUTS, (LOST,)),
    Foreign("lossless_cuts_h264.mp4", EDITS, partial(lossless_cuts, H264), CUTS),
]  # fmt: skip
