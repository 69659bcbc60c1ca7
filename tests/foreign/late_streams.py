"""Streams that first appear after libav has looked at the beginning of a file: 5 s or 5 MB."""

import struct
from functools import partial

from clips import ffmpeg
from foreign.case import Foreign, Right, whole
from foreign.media import H264, HEVC_ANY_CONTAINER, MPEG2, film, remuxed

FLV_HEADER_BYTES = 13
SILENCE = "-f lavfi -i anullsrc=r=44100:cl=mono -t 2 -map 0:v -map 1:a -c:v copy -c:a {}"
FILM = whole(200)
BEGIN_S = 1
"""When a first part begins: without it ffmpeg would shift parts with B pictures, whose decoding begins before 0."""
BEGINS, GOES_ON = f"-output_ts_offset {BEGIN_S}", f"-output_ts_offset {BEGIN_S + 4}"


def flv_tags(flv: bytes) -> list[bytes]:
    """Every tag with the size that follows it."""
    at, tags = FLV_HEADER_BYTES, []
    while at + 11 <= len(flv):
        size_bytes = int.from_bytes(flv[at + 1 : at + 4])
        tags.append(flv[at : at + 15 + size_bytes])
        at += 15 + size_bytes
    return tags


def time_ms(tag: bytes) -> int:
    """When an FLV tag is due."""
    return int.from_bytes(tag[4:7]) | tag[7] << 24


def at_time(tag: bytes, at_ms: int) -> bytes:
    """The tag at another time."""
    return tag[:4] + (at_ms & 0xFFFFFF).to_bytes(3) + bytes([at_ms >> 24 & 255]) + tag[8:]


def with_tags(flv: bytes, added: list[bytes]) -> bytes:
    """The file with more tags, in the order of their times."""
    tags = sorted([*flv_tags(flv), *added], key=time_ms)
    return flv[:FLV_HEADER_BYTES] + b"".join(tags)


def sound_at_5_s(flags: int) -> bytes:
    """FLV whose sound begins at 5 s; its header says that there is sound (5) or not (1)."""
    silent = film("a.flv", num_pictures=200)
    sound = ffmpeg("-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono", "-t", "2", "-c:a", "aac", "-f", "flv", "pipe:")
    heard = [at_time(tag, time_ms(tag) + 5200) for tag in flv_tags(sound) if tag[0] == 8]
    flv = with_tags(silent, heard)
    return flv[:4] + bytes([flags]) + flv[5:]


def caption_at_6_s() -> bytes:
    """FLV with a caption tag, which libav makes a stream of its own."""

    def text(content: bytes) -> bytes:
        return struct.pack(">H", len(content)) + content

    body = b"\x02" + text(b"onTextData") + b"\x08\0\0\0\x01" + text(b"text") + b"\x02" + text(b"hello") + b"\0\0\x09"
    tag = bytes([18]) + len(body).to_bytes(3) + bytes(7) + body
    tag += struct.pack(">I", len(tag))
    return with_tags(film("a.flv", num_pictures=200), [at_time(tag, 6000)])


def joined_with_sound(name: str, options: str, first_s: float) -> bytes:
    """A film without sound, and one with sound whose clock goes on, written one after the other."""
    mute = remuxed(name, f"-c copy {BEGINS}", film("a.mkv", options, num_pictures=round(25 * first_s)))
    going_on = f"{SILENCE.format('aac' if name.endswith('flv') else 'mp2')} -output_ts_offset {BEGIN_S + first_s}"
    heard = remuxed(name, going_on, film("a.mkv", options, first=round(25 * first_s), num_pictures=50))
    return mute + (heard[FLV_HEADER_BYTES:] if name.endswith("flv") else heard)


def flv_joined_from_zero() -> bytes:
    """Two FLV files, the second one with sound and with a clock that starts again."""
    second = remuxed("b.flv", SILENCE.format("aac"), film("a.flv", first=150, num_pictures=50))
    return film("a.flv", num_pictures=150) + second[FLV_HEADER_BYTES:]


def new_stream(options: str, codec: str = H264) -> bytes:
    """Two parts of a transport stream, times go on; the second one's identifiers are others, as after an ad."""
    first = remuxed("a.ts", f"-c copy {BEGINS} -mpegts_start_pid 0x100", film("a.mkv", codec))
    return first + remuxed("b.ts", f"-c copy {GOES_ON} {options}", film("a.mkv", codec, first=100))


def new_codec() -> bytes:
    """Two parts of a transport stream on one PID; the first is H.264, the second HEVC."""
    first = remuxed("a.ts", f"-c copy {BEGINS}", film("a.mkv"))
    return first + remuxed("b.ts", f"-c copy {GOES_ON}", film("a.mkv", HEVC_ANY_CONTAINER, first=100))


HALF_IS_SEEN = Right(FILM.parts, "partial", (0.45, 0.55), size_px=(256, 128))
"""A second stream that is not read is at least not called seen."""
OTHER_PROGRAM = "-mpegts_start_pid 0x200 -mpegts_pmt_start_pid 0x1100 -mpegts_service_id 2"
MPEG2_FILM = f"{MPEG2} -b:v 3M"
LATE, SWITCHED = "late stream", "switched stream"
INPUTS = [
    Foreign("sound_at_5_s_unannounced.flv", LATE, partial(sound_at_5_s, 1), FILM, is_quick=True),
    Foreign("sound_at_5_s.flv", LATE, partial(sound_at_5_s, 5), FILM),
    Foreign("caption_at_6_s.flv", LATE, caption_at_6_s, FILM),
    Foreign("second_with_sound.flv", LATE, flv_joined_from_zero, FILM),
    Foreign("sound_from_6_s.flv", LATE, partial(joined_with_sound, "a.flv", H264, 6), FILM),
    Foreign("sound_from_6_s.ts", LATE, partial(joined_with_sound, "a.ts", H264, 6), FILM),
    Foreign("sound_from_6_s.mpg", LATE, partial(joined_with_sound, "a.mpg", MPEG2_FILM, 6), FILM),
    Foreign("new_pid.ts", SWITCHED, partial(new_stream, "-mpegts_start_pid 0x200"), FILM, (HALF_IS_SEEN,),
            is_quick=True),
    Foreign("new_program.ts", SWITCHED, partial(new_stream, OTHER_PROGRAM), FILM, (HALF_IS_SEEN,)),
    Foreign("new_pid_hevc.ts", SWITCHED, partial(new_stream, "-mpegts_start_pid 0x200", HEVC_ANY_CONTAINER), FILM,
            (HALF_IS_SEEN,)),
    Foreign("new_codec.ts", SWITCHED, new_codec, FILM, (HALF_IS_SEEN,)),
]  # fmt: skip
