"""Program: describes a video on stdout as a protocol.ProbeReply; started by sandbox.confine.

Every packet is read and the first picture decoded, because headers lie.
"""

import errno
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from byte_ranges import ByteRange
from decoder.bitstream.nal import DISPLAY_ORIENTATION, NalParser
from decoder.bitstream.registry import parser_for
from decoder.container.edit_list import EditList, read_edit_list
from decoder.container.film import FilmPackets, Layout, TooManyStreams, film_stream, layout_of
from decoder.container.formats import MP4
from decoder.container.frames import FLUSH, TimedFrame, decode_film, decode_packet
from decoder.container.open import has_large_header, open_video, place_of
from decoder.container.orientation import UPRIGHT
from decoder.container.packets import Packets
from decoder.container.present import MissingBytes, Present
from decoder.container.pts import timing_of
from decoder.container.streams import is_supported
from decoder.convert.rgb import PictureConverter
from decoder.describe import describe, has_dolby_colours
from decoder.sparse import check_beginning
from decoder.timeline import edited_times, edits_of
from decoder.times import PacketTimes, read_times, tick_s
from protocol import MAX_EDITS, MAX_STREAMS, ProbeReply, RangesReply, Refusal
from records import Part, VideoInfo

LAYERED_CODEC = "vp9"
"""Of this one libav returns every layer of a picture; of others at most the highest."""
PICTURES_TRIED = 8
"""How many pictures after the first one are decoded to see whether a message turns them."""
PACKETS_TRIED = 100
"""How many packets of a file that is marked as encrypted are decoded to see whether it really is."""
CONVERTED_PX = 32
"""The size to which the first picture is converted to see whether that can be done."""


def probe(path: str, ranges: Sequence[ByteRange] = ()) -> VideoInfo | Refusal:
    """Describe the film in a file.

    Args:
        path: local file.
        ranges: what was fetched of it; none if that is all. Then a refusal is certain: in parts of a file nothing is
            found wrong.
    """
    outcome = _probe(path, Present(ranges))
    if isinstance(outcome, Refusal):
        return Refusal.MISSING_BYTES if ranges else outcome
    return replace(outcome, present=tuple(ranges))


def _probe(path: str, present: Present) -> VideoInfo | Refusal:
    try:
        check_beginning(path, present)
        with open_video(path) as container:
            layout = layout_of(path, container)
            is_mp4 = container.format.name == MP4
        if is_mp4 and len(layout.parts) > 1:
            layout = _without_misread(path, layout)
        if not layout.parts:
            return Refusal.NO_VIDEO_STREAM
        if not present.is_all and not layout.is_ordinary:
            return Refusal.MISSING_BYTES
        return _probe_film(path, layout, present)
    except MissingBytes:
        return Refusal.MISSING_BYTES
    except TooManyStreams:
        return Refusal.TOO_MANY_STREAMS
    except av.error.FFmpegError as exc:
        return (
            Refusal.TOO_MANY_STREAMS
            if exc.errno == errno.ENOMEM and _has_too_many_streams(path)
            else Refusal.UNREADABLE
        )


def _has_too_many_streams(path: str) -> bool:
    """Whether a file that cannot be opened can be if it may have more streams."""
    try:
        with open_video(path, max_streams=10 * MAX_STREAMS) as container:
            return len(container.streams) > MAX_STREAMS
    except av.error.FFmpegError:
        return False


def _probe_film(path: str, layout: Layout, present: Present) -> VideoInfo | Refusal:
    part = layout.parts[0]
    with open_video(path, part=part) as container:
        stream = film_stream(container, part.stream)
        if not is_supported(stream):
            return Refusal.UNSUPPORTED_CODEC
        is_dolby = has_dolby_colours(container, stream)
        packets = FilmPackets(container, path, layout.parts)
        may_turn = _may_turn(path, part, present)
        codec = stream.codec_context.codec.canonical_name
        first = _first_picture(decode_film(packets, timing_of(container, stream), present), codec, may_turn=may_turn)
        edit_list = _misread_edit_list(container, stream, first) if len(layout.parts) == 1 else None
    if edit_list is not None:
        if not present.is_all:
            raise MissingBytes  # its pictures may come from anywhere
        with open_video(path, part=part, obeys_edits=False) as container:
            packets = FilmPackets(container, path, layout.parts)
            first = _first_picture(decode_film(packets, "pts", present), codec, may_turn=may_turn)
    if _is_encrypted(path, part, present):
        return Refusal.ENCRYPTED
    if first is None:
        return Refusal.TOO_LARGE if has_large_header(path, part) else Refusal.NO_FRAMES
    if not _is_convertible(first.frame, codec, is_dolby=is_dolby):
        return Refusal.NOT_CONVERTIBLE
    return _read_film(path, layout, first, edit_list)


def _without_misread(path: str, layout: Layout) -> Layout:
    """A film of several parts without those whose edit lists libav misreads: only one of a single part can have edits.

    If that would be all, the first one remains.
    """
    misread: list[Part] = []
    for part in layout.parts:
        with open_video(path, part=part) as container:
            if _misread_edit_list(container, film_stream(container, part.stream), None) is not None:
                misread.append(part)
    return layout.without(misread[1:] if len(misread) == len(layout.parts) else misread)


def _misread_edit_list(container: InputContainer, stream: VideoStream, first: TimedFrame | None) -> EditList | None:
    """The edit list of a stream, if there is one that libav does not read as it is meant.

    Args:
        container: with libav's reading.
        stream: of it.
        first: its first picture; None if there is none, or if it is not looked at.
    """
    edit_list = read_edit_list(*place_of(container), stream.id) if container.format.name == MP4 else None
    if edit_list is None or not edit_list.is_plain:
        return edit_list
    start_pts = int(edit_list.start_s / tick_s(stream))
    if first is None or first.pts + max(1, first.duration) > start_pts:
        return None
    return edit_list  # libav shows what is before the start, as it does in fragmented files


def _read_film(path: str, layout: Layout, first: TimedFrame, edit_list: EditList | None) -> VideoInfo | Refusal:
    """Describe a film whose first picture is known.

    Args:
        path: local file.
        layout: of the film.
        first: its first picture, or with an edit list the first one of its stream.
        edit_list: what libav does not read rightly.
    """
    part = layout.parts[0]
    # Opened again: decoding moved the first reader.
    with open_video(path, part=part, obeys_edits=edit_list is None) as container:
        stream = film_stream(container, part.stream)
        packets = FilmPackets(container, path, layout.parts)
        times = read_times(packets, stream, timing_of(container, stream), first)
        if times is None:
            return Refusal.TOO_MANY_PICTURES
        if part in packets.empty:
            return _probe_film(path, layout.without(packets.empty), Present())
        layout = layout.without(packets.empty)
        if edit_list is None:
            return describe(container, stream, first, times, layout)
    return _describe_edited(path, layout, first, times, edit_list)


def _describe_edited(
    path: str, layout: Layout, first: TimedFrame, times: PacketTimes, edit_list: EditList
) -> VideoInfo | Refusal:
    """Describe a film of which the first picture and all times are known as its stream has them."""
    part = layout.parts[0]
    with open_video(path, part=part) as container:  # the times of the other streams are right
        stream = film_stream(container, part.stream)
        edits = edits_of(edit_list, times, tick_s(stream))
        if not edits:
            return Refusal.NO_FRAMES
        shown = edited_times(times, edits)
        if shown is None:
            return Refusal.TOO_MANY_PICTURES
        info = describe(container, stream, replace(first, pts=edits[0].start_pts), shown, layout)
        # The film's clock starts at 0, and not where libav's reading has the beginning.
        start_s = float(edits[0].start_pts * tick_s(stream))
        return replace(info, start_s=start_s, edits=edits[:MAX_EDITS])


def _may_turn(path: str, part: Part, present: Present) -> bool:
    """Whether a message that turns pictures stands at the beginning of a film."""
    with open_video(path, part=part) as container:
        stream = film_stream(container, part.stream)
        context = stream.codec_context
        parser = parser_for(context.codec.canonical_name, context.extradata or b"")
        if not isinstance(parser, NalParser):
            return False
        packets = present.checked(islice(Packets(container, stream), PICTURES_TRIED))
        messages = chain.from_iterable(parser.messages(bytes(packet)) for packet in packets)
        return any(message_type == DISPLAY_ORIENTATION for message_type, _ in messages)


def _first_picture(frames: Iterator[TimedFrame], codec: str, *, may_turn: bool) -> TimedFrame | None:
    """The first picture; of its layers, which have one time, the last and highest.

    Args:
        frames: all of the film.
        codec: of the first part.
        may_turn: a message that turns it may come only with a picture after it.
    """
    first = next(frames, None)
    for timed in islice(frames, PICTURES_TRIED if may_turn or codec == LAYERED_CODEC else 0):
        if first is None or (timed.frame.key_frame and timed.pts != first.pts):
            break
        if timed.pts == first.pts:
            first = timed
        elif not may_turn:
            break
        elif timed.orientation not in {None, UPRIGHT}:
            return replace(first, orientation=timed.orientation)
    return first


def _is_convertible(frame: VideoFrame, codec: str, *, is_dolby: bool) -> bool:
    try:
        PictureConverter(CONVERTED_PX, CONVERTED_PX, codec, is_dolby=is_dolby).convert(frame)
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _is_encrypted(path: str, part: Part, present: Present) -> bool:
    """Whether packets are marked as encrypted and do not decode; some that are marked are not encrypted."""
    with open_video(path, part=part) as container:
        stream = film_stream(container, part.stream)
        packets = islice(Packets(container, stream), PACKETS_TRIED)
        marked = [packet for packet in packets if packet.has_sidedata("encryption_info")]
        pictures = 0
        for timed in chain.from_iterable(
            decode_packet(stream.codec_context, packet) for packet in chain(present.checked(marked), FLUSH)
        ):
            if timed.frame.is_corrupt:
                return True
            pictures += 1
    return pictures < len(marked)


def main(video: str, message: str, *, on_gpu: bool) -> None:  # noqa: ARG001  # the GPU is of no use here
    """Print what a file holds; the message is empty, or what was fetched of it."""
    ranges = RangesReply.from_json(message).ranges if message else ()
    sys.stdout.write(ProbeReply(probe(video, ranges)).to_json())
