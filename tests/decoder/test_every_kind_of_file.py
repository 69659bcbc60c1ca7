"""Frames are on screen at their times, with the right pixels, in every codec, container and condition there is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from clip_kinds import CODECS, CONDITIONS, CONTAINERS, FIELDS, LEFT_OUT, TAKES, Cell, KindStore, LeftOut, all_cells
from clips import HEIGHT_PX, WIDTH_PX, Clip, ffmpeg, number_in
from config import Settings
from decoder.container.frames import FLUSH
from decoder.container.open import open_video
from decoder.container.orientation import orientation_of
from decoder.container.packets import Packets
from decoder.container.pts import packet_pts, timing_of
from decoder.container.streams import moving_streams
from decoder.probe import probe
from decoding import Decoded, assert_same, decode_all_packets, decode_needed_packets, order_for, probed
from frame_extractor import FrameExtractor
from protocol import DecodeOrder
from records import Chunk, SampleGrid, VideoInfo

FPS, STRIDE = Fraction(30), 6
"""More instants than pictures: some at a picture's start, some in between. A sparse order has every STRIDE-th."""
CLOCK_S = 0.0015
"""Containers' clocks of a thousand ticks a second are as exact as this."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> KindStore:
    return KindStore(tmp_path_factory.mktemp("kinds"))


@dataclass(frozen=True, slots=True)
class Observed:
    """What the packets and pictures of a file say about it."""

    times_s: list[Fraction]
    """Ascending."""
    rotation_deg: int
    pixel_format: str
    is_interlaced: bool
    decoded_at: list[int]
    """For each picture in presentation order the number of its packet, in decoding order."""
    keyframes: list[int]
    """The positions of the keyframes in presentation order."""

    @property
    def is_pyramid(self) -> bool:
        """Two or more pictures, decoded one from the other, wait until some picture is shown."""
        order = self.decoded_at
        return any(sum(later < at for later in order[index:]) > 1 for index, at in enumerate(order))

    @property
    def has_open_group(self) -> bool:
        """A picture is shown before a keyframe and decoded after it."""
        return any(at and self.decoded_at[at - 1] > self.decoded_at[at] for at in self.keyframes)

    def has_times(self, times_s: Sequence[Fraction], *, shared: bool) -> bool:
        """Whether these are the pictures' times; of shared ones the first picture's, and some others'."""
        told_s = [time_s - self.times_s[0] for time_s in self.times_s]
        if shared and len(self.decoded_at) == len(times_s):
            times_s = [min(times_s, key=lambda time_s: abs(time_s - told)) for told in told_s]
        return told_s == pytest.approx(times_s, abs=CLOCK_S)

    def is_of(self, condition: str, *, shares_times: bool = False) -> bool:
        """Whether the clip has pictures at the times that it should, and what its condition says."""
        if not self.has_times(CONDITIONS[condition].times_s, shared=shares_times):
            return False
        return {
            "rotated": self.rotation_deg == 90,
            "starts at 7 s": self.times_s[0] > 6.9,
            "starts before 0": self.times_s[0] < 0,
            "B-pyramid": self.is_pyramid,
            "open GOP": self.has_open_group,
            "10-bit": "10" in self.pixel_format,
        }.get(condition, self.is_interlaced == (condition in FIELDS))


def observed(path: Path) -> Observed:
    with open_video(str(path)) as container:
        stream = moving_streams(container)[0]
        assert stream
        tick_s = stream.time_base
        assert tick_s
        stream.codec_context.copy_opaque = True
        times: set[int] = set()
        frames: list[Any] = []
        for number, packet in enumerate(chain(Packets(container, stream), FLUSH)):
            if packet is not None:
                packet.opaque = number
                pts = packet_pts(packet, timing_of(container, stream))
                if pts is not None and not packet.is_discard:
                    times.add(pts)
            frames += stream.codec_context.decode(packet)
        return Observed(
            [pts * tick_s for pts in sorted(times)],
            orientation_of(frames[0]).turn_deg,
            frames[0].format.name,
            frames[0].interlaced_frame,
            [frame.opaque for frame in frames],
            [index for index, frame in enumerate(frames) if frame.key_frame],
        )


def assert_on_screen(decoded: Decoded, clip: Clip, order: DecodeOrder) -> None:
    """There is a picture for every instant of the order, and the right one."""
    shown = [
        (index, number_in(picture))
        for (first, stop, _), picture in zip(decoded.shown, decoded.pixels, strict=True)
        for index in range(first, stop)
    ]
    fps, until = order.grid.fps, order.start + len(shown)
    assert shown == [(index, clip.number_at(index / fps)) for index in range(order.start, until)]
    assert until / fps > clip.times_s[-1]
    assert decoded.damaged == 0


def assert_right(clip: Clip) -> None:
    """Right pictures in one pass over all of them, and from the middle, where those are the full decode's pixels."""
    order = order_for(clip.path, FPS)
    small = replace(order, grid=replace(order.grid, height_px=HEIGHT_PX // 4, width_px=WIDTH_PX // 4))
    assert_on_screen(decode_needed_packets(clip.path, small), clip, small)

    last = (order.stop - 1) // STRIDE
    few = replace(order, grid=replace(order.grid, fps=FPS / STRIDE), start=last // 2, stop=last + 1)
    selected = decode_needed_packets(clip.path, few)
    assert_on_screen(selected, clip, few)
    assert_same(selected, decode_all_packets(clip.path, few))


@pytest.mark.parametrize("cell", [*all_cells()], ids=str)
def test_pictures_are_on_screen_at_their_times_with_the_pixels_of_a_full_decode(cell: Cell, kinds: KindStore):
    clip = kinds.clip(cell)
    assert observed(clip.path).is_of(cell.condition, shares_times=cell.shares_times)
    assert_right(clip)


@pytest.mark.parametrize("left_out", LEFT_OUT, ids=lambda left_out: left_out.reason)
def test_the_kinds_that_are_left_out_cannot_be_made(left_out: LeftOut, kinds: KindStore):
    for cell, path in kinds.attempts([*left_out.examples()]):
        is_refused = not isinstance(probe(str(path)), VideoInfo)
        assert is_refused or not observed(path).is_of(cell.condition), f"{cell} can be made"


@pytest.mark.parametrize("codec", CODECS)
def test_a_container_that_does_not_support_a_codec_refuses_it_or_loses_its_name(
    codec: str, kinds: KindStore, tmp_path: Path
):
    plain = kinds.clip(Cell(codec, "mkv", "constant rate")).path
    refusing = [container for container in CONTAINERS if codec not in TAKES[container]]
    formats = {container: CONTAINERS[container].split()[1] for container in refusing}
    outputs = [f"[onfail=ignore:f={name}]{tmp_path}/{container}" for container, name in formats.items()]

    ffmpeg("-i", plain, "-map", "0:v", "-c", "copy", "-f", "tee", "|".join([*outputs, "[f=null]-"]))

    outcomes = {path.name: probe(str(path)) for path in tmp_path.iterdir()}
    infos = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, VideoInfo)}
    assert [name for name, info in infos.items() if info.codec == codec] == []


async def test_the_decoder_process_delivers_one_kind_of_file_for_every_condition(kinds: KindStore):
    """The rest of this file decodes in the tests' own process."""
    extractor = FrameExtractor(Settings(media_timeout_s=30))

    async def check(cell: Cell) -> None:
        clip = kinds.clip(cell)
        info = await extractor.get_video_info(clip.path)
        sampling = SampleGrid(info.start_s, FPS, HEIGHT_PX, WIDTH_PX)
        chunk = Chunk(0, info.start_s, info.end_s, info.end_s)
        batch = await extractor.extract_frames(clip.path, info, sampling, chunk)
        shown = [number_in(picture) for picture in batch.pixels]
        assert shown == [clip.number_at(time_s - info.start_s) for time_s in batch.times_s], str(cell)
        assert len(shown) == len(sampling.indices(chunk))

    one_each = {cell.condition: cell for cell in all_cells()}
    await asyncio.gather(*map(check, one_each.values()))


def test_b_vops_in_a_matroska_that_has_dts_only(kinds: KindStore, tmp_path: Path):
    """Matroska in Video for Windows mode, which ffmpeg writes for codecs that it has no Matroska name for."""
    clip = kinds.clip(Cell("mpeg4", "avi", "constant rate"))
    renamed, path = tmp_path / "renamed.avi", tmp_path / "vfw.mkv"
    renamed.write_bytes(clip.path.read_bytes().replace(b"FMP4", b"WMV2"))
    ffmpeg("-i", renamed, "-c", "copy", "-write_crc32", "0", path)
    path.write_bytes(path.read_bytes().replace(b"WMV2", b"FMP4"))

    assert probed(path).codec == "mpeg4"
    assert_right(replace(clip, path=path))
