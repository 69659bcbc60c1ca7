"""Makes files from numbered pictures as bytes: by ffmpeg, by PyAV packet for packet, and by editing MP4 boxes."""

import struct
import tempfile
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path

import av
import numpy as np

from clips import X265_THREADS, ffmpeg, numbered_pictures

H264 = "-c:v libx264 -preset veryfast -g 50 -bf 2 -pix_fmt yuv420p"
REFRESH = (
    "-c:v libx264 -preset veryfast -g 9999 -sc_threshold 0 -bf 0 -refs 1 -pix_fmt yuv420p "
    "-x264-params intra-refresh=1:keyint=50:scenecut=0"
)
"""One keyframe; every 50 pictures a column of intra blocks begins to wander over the pictures and repairs them."""
HEVC = (
    f"-c:v libx265 -preset ultrafast -x265-params keyint=50:log-level=error:{X265_THREADS} -pix_fmt yuv420p -tag:v hvc1"
)
HEVC_ANY_CONTAINER = HEVC.removesuffix(" -tag:v hvc1")
VP8 = "-c:v libvpx -cpu-used 8 -deadline realtime -b:v 1M -g 50"
VP9 = "-c:v libvpx-vp9 -cpu-used 8 -deadline realtime -b:v 1M -g 50 -pix_fmt yuv420p"
AV1 = "-c:v libsvtav1 -svtav1-params lp=1 -preset 12 -g 50 -pix_fmt yuv420p"
MPEG2 = "-c:v mpeg2video -q 3 -g 12 -bf 2"
FRAGMENTED = "-movflags frag_keyframe+empty_moov+default_base_moof"

PacketEdit = Callable[[int, bytes], bytes | list[bytes]]
"""Gives the content of the packet or the packets that replace one, from its number in decoding order and its content.
Several share its time evenly."""


@cache
def film(name: str, options: str = H264, *, first: int = 0, num_pictures: int = 100) -> bytes:
    """Encode numbered pictures, 25 a second.

    Args:
        name: gives the container by its ending.
        options: ffmpeg's.
        first: the number of the first picture.
        num_pictures: at most 256 less the first.
    """
    return encoded(name, options, numbered_pictures(first + num_pictures)[first:])


def encoded(name: str, options: str, pictures: np.ndarray) -> bytes:
    """Encode any pictures, uint8 (T, H, W, 3) RGB, 25 a second."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
        ffmpeg(*options.split(), path, pictures=pictures)
        return path.read_bytes()


def remuxed(name: str, options: str, *sources: bytes) -> bytes:
    """Give files to ffmpeg as its first inputs, and return its output."""
    with tempfile.TemporaryDirectory() as directory:
        inputs: list[str | Path] = []
        for number, content in enumerate(sources):
            source = Path(directory, f"source-{number}")
            source.write_bytes(content)
            inputs += ["-i", source]
        path = Path(directory, f"made-{name}")
        ffmpeg(*inputs, *options.split(), path)
        return path.read_bytes()


def repacked(name: str, content: bytes, edit: PacketEdit) -> bytes:
    """Copy the video stream with other bytes in its packets; their times stay."""
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory, "source"), Path(directory, f"made-{name}")
        source.write_bytes(content)
        numbers = count()
        with av.open(str(source)) as container, av.open(str(target), "w", options={"fflags": "+bitexact"}) as output:
            stream = container.streams.video[0]
            copied = output.add_stream_from_template(stream, opaque=True)
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                changed = edit(next(numbers), bytes(packet))
                parts = changed if isinstance(changed, list) else [changed]
                assert packet.pts is not None
                assert packet.dts is not None
                assert packet.duration is not None
                ticks = packet.duration // len(parts)
                for place, part in enumerate(parts):
                    fresh = av.Packet(part)
                    fresh.pts, fresh.dts = packet.pts + place * ticks, packet.dts + place * ticks
                    fresh.time_base, fresh.duration = packet.time_base, ticks
                    fresh.is_keyframe, fresh.stream = packet.is_keyframe and place == 0, copied
                    output.mux(fresh)
        return target.read_bytes()


def packets_with_times(content: bytes) -> tuple[bytes, list[tuple[Fraction | None, bool, bytes]]]:
    """Return the codec's configuration, and of every packet its time of showing in seconds, keyframe flag and bytes."""
    with tempfile.NamedTemporaryFile() as source:
        source.write(content)
        source.flush()
        with av.open(source.name) as container:
            stream = container.streams.video[0]
            configuration = bytes(stream.codec_context.extradata or b"")
            tick_s = stream.time_base or Fraction(1)
            packets = [
                (None if packet.pts is None else packet.pts * tick_s, packet.is_keyframe, bytes(packet))
                for packet in container.demux(stream)
                if packet.size
            ]
    return configuration, packets


def with_inner_box(mp4: bytes, before: bytes, box: bytes, entry: bytes) -> bytes:
    """Put a box after another one in the sample entry of an MP4 of one track, its index after its pictures.

    Args:
        mp4: the file.
        before: the name of the box after which the new one stands.
        box: the whole new box.
        entry: the name of the sample entry.
    """
    at = mp4.rindex(before) - 4
    place = at + struct.unpack_from(">I", mp4, at)[0]
    return grown(mp4, place, box, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry))


def grown(mp4: bytes, place: int, added: bytes, around: Iterable[bytes]) -> bytes:
    """Insert bytes into an MP4, its index after its pictures, and correct the sizes of the boxes around them."""
    changed = bytearray(mp4[:place] + added + mp4[place:])
    for name in around:
        at = changed.rindex(name, 0, place) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", changed, at)[0] + len(added))
    return bytes(changed)


def with_edits(mp4: bytes, edits: Sequence[tuple[float | None, float, float]], version: int = 0) -> bytes:
    """Replace the edit list of an MP4 of one track, its index after its pictures (ISO/IEC 14496-12, 8.6.6).

    Args:
        mp4: the file; or the pictures of a fragmented one have their places in its fragments.
        edits: start in the film in seconds, None for an empty edit; duration in seconds; rate.
        version: of the box; 1 has 64 bits for the times.
    """
    list_at = mp4.rindex(b"elst")
    (movie_hz,) = struct.unpack_from(">I", mp4, mp4.rindex(b"mvhd") + 16)
    (media_hz,) = struct.unpack_from(">I", mp4, mp4.rindex(b"mdhd") + 16)
    (first_at,) = struct.unpack_from(">I", mp4, list_at + 16)
    rows = b"".join(
        struct.pack(
            ">Qqi" if version else ">Iii",
            round(duration_s * movie_hz),
            -1 if start_s is None else first_at + round(start_s * media_hz),
            round(rate * 2**16),
        )
        for start_s, duration_s, rate in edits
    )
    (old_bytes,) = struct.unpack_from(">I", mp4, list_at - 4)
    stop = list_at - 4 + old_bytes
    header = struct.pack(">BxxxI", version, len(edits))
    changed = bytearray(mp4[: list_at + 4] + header + rows + mp4[stop:])
    for at in (mp4.rindex(b"moov"), mp4.rindex(b"trak"), mp4.rindex(b"edts"), list_at):
        struct.pack_into(">I", changed, at - 4, struct.unpack_from(">I", mp4, at - 4)[0] + len(changed) - len(mp4))
    return bytes(changed)


def encoded_with_times(
    name: str, codec: str, options: dict[str, str], pictures: np.ndarray, times_s: Sequence[float], last_s: float,
    sound_s: float = 0.0,
) -> bytes:  # fmt: skip
    """Encode pictures at their own times, without B pictures, and silence.

    Args:
        name: gives the container by its ending.
        codec: the encoder's name.
        options: the encoder's.
        pictures: uint8 (T, H, W, 3) RGB.
        times_s: of each picture.
        last_s: how long the last picture lasts, where the container says it.
        sound_s: seconds of silence, Opus; 0 for no sound.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"made-{name}")
        with av.open(str(path), "w", options={"fflags": "+bitexact"}) as output:
            stream = output.add_stream(codec, rate=25, options={"threads": "1", **options})
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = pictures.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            packets = []
            for picture, at_s in zip(pictures, times_s, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = round(1000 * at_s), Fraction(1, 1000)
                packets += stream.encode(frame)
            packets += stream.encode(None)
            for number, packet in enumerate(packets):
                following_s = times_s[number + 1] if number + 1 < len(times_s) else times_s[number] + last_s
                packet.duration = int((following_s - times_s[number]) / float(packet.time_base))
            if sound_s:
                packets += _silence(output, sound_s)
            for packet in sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)):
                output.mux(packet)
        return path.read_bytes()


def _silence(output: av.container.OutputContainer, sound_s: float) -> "list[av.Packet[av.AudioStream]]":
    sound = output.add_stream("libopus", rate=48_000, options={"threads": "1"})
    assert isinstance(sound, av.AudioStream)
    sound.layout = "mono"
    packets = []
    for at in range(0, round(sound_s * 48_000), 960):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
        packets += sound.encode(frame)
    return packets + sound.encode(None)
