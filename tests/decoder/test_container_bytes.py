"""What is read of a container's bytes takes every byte string: files come from outside."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clips import ClipStore
from decoder.container.ebml import disabled_streams
from decoder.container.joined import FINDERS, is_cut_matroska, starts_of_files
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
