"""Closed GOPs are decoded in parallel, within bounds, and on the GPU or not at all where that was ordered."""

from fractions import Fraction
from pathlib import Path

import pytest

from clips import H264, ClipStore, numbered_pictures
from decoder import decode
from decoder.decode import StreamReader
from decoder.gop import decoder, pool
from decoder.gop.decoder import GpuUnused
from decoder.gop.pool import ReadAheadQueue, parallel_decoders
from decoding import assert_same, decode_needed_packets, order_for


@pytest.fixture
def closed_gops(clips: ClipStore) -> Path:
    return clips.encode("closed-groups.mp4", f"{H264} -sc_threshold 0", numbered_pictures())


@pytest.mark.parametrize(
    ("size_px", "parallel"), [((352, 640), 16), ((1080, 1920), 16), ((2160, 3840), 5), ((4320, 7680), 1)]
)
def test_large_pictures_are_decoded_by_fewer_decoders_in_parallel(size_px: tuple[int, int], parallel: int):
    assert parallel_decoders(16, *size_px) == parallel


def test_gops_decoded_in_sequence_give_the_same_pictures_as_in_parallel(
    closed_gops: Path, monkeypatch: pytest.MonkeyPatch
):
    order = order_for(closed_gops, Fraction(2))
    in_parallel = decode_needed_packets(closed_gops, order)
    monkeypatch.setattr(decode, "parallel_decoders", lambda *_: 1)
    assert_same(decode_needed_packets(closed_gops, order), in_parallel)


@pytest.mark.parametrize(("room_for", "ahead"), [(2, 1), (30, 2), (1000, 3)])
def test_gops_are_not_decoded_further_ahead_than_the_memory_budget_allows(
    room_for: int, ahead: int, closed_gops: Path, monkeypatch: pytest.MonkeyPatch
):
    order = order_for(closed_gops, Fraction(25))
    monkeypatch.setattr(pool, "READ_AHEAD_BYTES_PER_DECODER", room_for * order.picture_bytes // 2)
    submitted: list[None] = []
    put = ReadAheadQueue.put
    monkeypatch.setattr(ReadAheadQueue, "put", lambda *arguments: submitted.append(put(*arguments)))

    pictures = StreamReader(str(closed_gops), order).pictures()

    next(pictures)
    assert len(submitted) == ahead
    assert len(list(pictures)) == 74


def test_an_order_for_the_gpu_fails_where_libav_decodes_on_the_cpu(closed_gops: Path, monkeypatch: pytest.MonkeyPatch):
    """What libav does without a word for streams that the GPU does not support."""
    monkeypatch.setattr(decoder, "HWAccel", lambda *_, **__: None)
    order = order_for(closed_gops, Fraction(2))

    with pytest.raises(GpuUnused):
        list(StreamReader(str(closed_gops), order, on_gpu=True).pictures())
