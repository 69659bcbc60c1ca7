"""Copies a file packet by packet, with changed contents: for streams that no encoder at hand writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

import av
from av.video.stream import VideoStream

LENGTH_BYTES = 4
"""The size of the length field before each unit in what ffmpeg writes."""


def copy_packets(source: Path, target: Path, edit: Callable[[int, bytes], bytes | None]) -> Path:
    """Copy the video stream with what `edit` makes of each packet, given its number from 0; None leaves it out."""
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        stream = container.streams.video[0]
        copied = output.add_stream_from_template(stream, opaque=True)
        number = 0
        for packet in container.demux(stream):
            if not packet.size:
                continue
            content = edit(number, bytes(packet))
            number += 1
            if content is not None:
                output.mux(_with_content(packet, content, copied))
    return target


def _with_content(packet: av.Packet[VideoStream], content: bytes, stream: VideoStream) -> av.Packet[VideoStream]:
    changed = cast("av.Packet[VideoStream]", av.Packet(content))
    changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
    changed.time_base, changed.is_keyframe, changed.stream = packet.time_base, packet.is_keyframe, stream
    return changed


def split_units(packet: bytes) -> list[bytes]:
    """The units of a packet of H.264 or HEVC in MP4 or Matroska."""
    units, at = [], 0
    while at < len(packet):
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(packet[at:begin], "big")
        units.append(packet[begin:at])
    return units


def join_units(units: Iterable[bytes]) -> bytes:
    """The packet of some units."""
    return b"".join(len(unit).to_bytes(LENGTH_BYTES, "big") + unit for unit in units)


def insert_before(packet: bytes, code: bytes, inserted: bytes) -> bytes:
    """A packet with some bytes before a start code."""
    at = packet.index(code)
    return packet[:at] + inserted + packet[at:]


def join_packets(sources: Sequence[Path], target: Path) -> Path:
    """A file with the packets of several in sequence, 25 pictures a second; the configuration is the first one's."""
    with av.open(str(target), "w") as output:
        copied, offset = None, 0
        for source in sources:
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                copied = copied or output.add_stream_from_template(stream, opaque=True)
                packets = [packet for packet in container.demux(stream) if packet.size]
                period = round(1 / 25 / packets[0].time_base)
                first = min(packet.pts or 0 for packet in packets)
                for packet in packets:
                    packet.pts = (packet.pts or 0) + offset - first
                    packet.dts = (packet.dts or 0) + offset - first
                    packet.stream = copied
                    output.mux(packet)
                offset += len(packets) * period
    return target
