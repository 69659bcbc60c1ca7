"""When the last picture of a film disappears: what its container, its sound and its tags say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from decoder.container.formats import AVI, FLV, MATROSKA, MP4
from decoder.container.joined import is_cut_matroska
from decoder.container.open import place_of
from decoder.times import PacketTimes, tick_s

TAGGED_DURATION = re.compile(r"(\d+):(\d+):(\d+\.?\d*)")
LOOK_BACK_S = Fraction(10)
"""How far before the last picture to look for a keyframe from which the sound is read."""
TOLERANCE_S = Fraction(1, 2)
"""A tag and the packets differ about a film's end by this much where all is well."""
SOUND_TOLERANCE_S = Fraction(2)
"""By this much the sound of films goes on after their pictures."""
TELLS_EVERY_DURATION: Final = frozenset([MP4, AVI])
"""Containers in which each picture has its duration: what follows after the last one is not the film."""
TELLS_NO_END: Final = frozenset([MATROSKA, FLV])
"""Containers in which libav may not know the end of the sound."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a film ends, in seconds of its streams' clock."""

    end_s: Fraction
    """When the last picture disappears."""
    missing_s: float
    """What the container promises after it."""
    is_cut_off: bool
    sound_after_s: float
    """For how long sound goes on after it."""


def ending(container: InputContainer, stream: VideoStream, times: PacketTimes, duration_s: Fraction) -> Ending:
    """Say how a film of one stream ends.

    The last picture stays on screen as long as the sound goes on or the container says, unless the container tells the
    duration of every picture, or the file is cut off. Many files promise more than they hold and are whole: only one
    that is cut off is asked for its promise.

    Args:
        container: all of whose packets have been read.
        stream: the film.
        times: of its packets.
        duration_s: of the film, as far as the packets tell.
    """
    end_s = times.end_pts * tick_s(stream)
    is_matroska = container.format.name == MATROSKA
    is_cut_off = times.is_cut_off or (is_matroska and is_cut_matroska(place_of(container)[0]))
    if container.format.name == AVI and times.has_losses:
        # Its pictures are counted: what is missing in between is missing at the end.
        lost_s = (stream.duration or 0) * tick_s(stream) - duration_s
        return Ending(end_s, max(0.0, float(lost_s)), is_cut_off, 0.0)
    if is_cut_off:
        promised_s = _promised_s(container, stream, duration_s)
        missing_s = max(Fraction(0), promised_s - (end_s if is_matroska else duration_s))
        return Ending(end_s, float(missing_s), is_cut_off, 0.0)
    if not times.is_uniform:
        return Ending(end_s, 0.0, is_cut_off, 0.0)
    sound_end_s = _sound_end_s(container, stream, times)
    if container.format.name in TELLS_EVERY_DURATION:
        return Ending(end_s, 0.0, is_cut_off, float(_later(end_s, sound_end_s, SOUND_TOLERANCE_S) - end_s))
    if is_matroska:
        tagged_s = _tagged_end_s(stream)
        end_s = _later(end_s, tagged_s, TOLERANCE_S)
        sound_end_s = max(sound_end_s, Fraction(0) if tagged_s else _container_duration_s(container))
    return Ending(_later(end_s, sound_end_s, SOUND_TOLERANCE_S), 0.0, is_cut_off, 0.0)


def _later(end_s: Fraction, claim_s: Fraction, tolerance_s: Fraction) -> Fraction:
    """The claimed end of a film if it is later than the known one by more than a tolerance."""
    return claim_s if claim_s - end_s > tolerance_s else end_s


def _promised_s(container: InputContainer, stream: VideoStream, duration_s: Fraction) -> Fraction:
    """Until when a cut-off file says that its film lasts; duration_s where what is left does not tell."""
    if tagged_s := _tagged_end_s(stream):
        return tagged_s
    if container.format.name == AVI:  # libav derives an AVI's duration from what is left of it
        return duration_s
    return stream.duration * tick_s(stream) if stream.duration else _container_duration_s(container)


def _tagged_end_s(stream: VideoStream) -> Fraction:
    """The time at which a stream ends, as Matroska's tags have it; 0 without such a tag."""
    tag = TAGGED_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    return 3600 * Fraction(tag[1]) + 60 * Fraction(tag[2]) + Fraction(tag[3]) if tag else Fraction(0)


def _container_duration_s(container: InputContainer) -> Fraction:
    return Fraction(container.duration or 0, av.time_base)


def _sound_end_s(container: InputContainer, film: VideoStream, times: PacketTimes) -> Fraction:
    """When the last sound ends, on the streams' clock; 0 if there is none."""
    sounds = container.streams.audio
    ends_s = [
        ((sound.start_time or 0) + sound.duration) * sound.time_base
        for sound in sounds
        if sound.duration is not None and sound.time_base
    ]
    if sounds and container.format.name in TELLS_NO_END:
        ends_s.append(_read_sound_end_s(container, film, times, sounds))
    return max(ends_s, default=Fraction(0))


def _read_sound_end_s(
    container: InputContainer, film: VideoStream, times: PacketTimes, sounds: tuple[AudioStream, ...]
) -> Fraction:
    """When the last packet of sound ends; read are those after a late keyframe of the film if there is one, or all."""
    look_back_ticks = int(LOOK_BACK_S / tick_s(film))
    for from_pts in (times.last_pts - look_back_ticks, 0):
        end_s = Fraction(0)
        try:
            container.seek(from_pts, stream=film)
            for packet in container.demux(*sounds):
                if packet.size and packet.pts is not None:
                    end_s = max(end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
        except av.error.FFmpegError:
            continue  # libav refuses places, or ends at the end of the file, where it knows no later keyframe
        if end_s:
            return end_s
    return Fraction(0)
