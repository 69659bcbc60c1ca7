"""What is read of a container's bytes takes every byte string: files come from outside."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clips import ClipStore
from decoder.container.ebml import disabled_streams
from decoder.container.edit_list import read_edit_list
from decoder.container.joined import FINDERS, is_cut_matroska, starts_of_files
from decoder.container.last_packet import READERS, ends_in_packet
from decoder.container.seams import GAP_READERS, Seams

HEADS = [
    b"", b"\x1aE\xdf\xa3\x80\x18S\x80g\x80\x16T\xaek\x80", b"\0\0\0\x08ftyp\0\0\0\x08moov", b"\0\0\0\x01mdat",
    b"OggS\0\2", b"RIFF\0\0\0\0AVI LIST", b"FLV\1\5\0\0\0\x09\0\0\0\0", b"\x09\0\0\1" + bytes(7), b"\x47\x40\0\x30\0",
    b"\0\0\1\xe0\0\0\x80\x80\5",
]  # fmt: skip
CONTENT = st.lists(st.sampled_from(HEADS) | st.binary(max_size=60), max_size=12).map(b"".join)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize("container", FINDERS)
@quick
@given(content=CONTENT)
def test_files_inside_a_file_begin_in_it_and_in_order(container: str, content: bytes, tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(content)
    starts = starts_of_files(path, container)

    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] <= len(content)
    is_cut_matroska(path)
    disabled_streams(path, 0)
    for each in READERS:
        assert isinstance(ends_in_packet(path, len(content), each), bool)


BOXES = st.recursive(
    st.tuples(st.sampled_from([b"mvhd", b"tkhd", b"elst", b"stsz"]), st.binary(max_size=60)),
    lambda inner: st.tuples(
        st.sampled_from([b"moov", b"trak", b"edts", b"mvex", b"mdia", b"minf", b"stbl"]),
        st.lists(inner, max_size=4).map(lambda boxes: b"".join(map(boxed, boxes))),
    ),
    max_leaves=12,
)


def boxed(box: tuple[bytes, bytes]) -> bytes:
    kind, content = box
    return (8 + len(content)).to_bytes(4, "big") + kind + content


@quick
@given(content=st.lists(st.binary(max_size=20) | BOXES.map(boxed), max_size=6).map(b"".join), track=st.integers(0, 3))
def test_any_bytes_hold_an_edit_list_or_none(content: bytes, track: int, tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(content)

    found = read_edit_list(path, 0, track)

    assert found is None or len(found.entries) <= len(content) // 12


@quick
@given(
    changes=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=20),
    cut=st.integers(0, 1000) | st.none(),
)
def test_a_damaged_edit_list_is_read_as_far_as_it_fits(
    changes: list[tuple[int, int]], cut: int | None, clips: ClipStore, tmp_path: Path
):
    content = bytearray(clips.clip("h264.mp4").path.read_bytes())
    movie_at = content.index(b"moov") - 4
    for at, value in changes:
        content[movie_at + at % (len(content) - movie_at)] = value
    path = tmp_path / "file"
    path.write_bytes(content[: None if cut is None else movie_at + cut])

    found = read_edit_list(path, 0, 1)

    assert found is None or (found.entries and found.movie_hz > 0)


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4", "av1.mp4"])
def test_the_edit_list_of_a_real_file_is_found(name: str, clips: ClipStore):
    found = read_edit_list(clips.clip(name).path, 0, 1)

    assert found is not None
    assert found.is_plain
    assert found.movie_hz == 1000
    assert [(entry.duration, entry.rate) for entry in found.entries] == [(3000, 1)]
    assert read_edit_list(clips.clip(name).path, 0, 2) is None


@pytest.mark.parametrize("container", GAP_READERS)
@quick
@given(content=CONTENT, from_byte=st.integers(0, 700) | st.none(), to_byte=st.integers(0, 700) | st.none())
def test_every_gap_is_a_standstill_or_a_new_clock(
    container: str, content: bytes, from_byte: int | None, to_byte: int | None, tmp_path: Path
):
    path = tmp_path / "file"
    path.write_bytes(content * 3)

    assert Seams(path, 0, container).is_new_clock(from_byte, to_byte, Fraction(1), Fraction(60)) in {True, False}


@pytest.mark.parametrize(("name", "container"), [("h264.ts", "mpegts"), ("h264.flv", "flv"), ("mpeg2.mpg", "mpeg")])
def test_the_times_in_a_real_file_are_found(name: str, container: str, clips: ClipStore):
    times_s, _ = GAP_READERS[container](b"", clips.clip(name).path.read_bytes()[13 if container == "flv" else 0 :])

    assert len(times_s) > 30
    assert max(times_s) - min(times_s) == pytest.approx(3, abs=1)
