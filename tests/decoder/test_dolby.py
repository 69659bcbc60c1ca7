"""Dolby Vision is known by its record in the container, and its own colours become those of an ordinary screen."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoder.container.dolby import lacks_base_layer
from decoder.convert import dolby, tone_map

MP4, MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
FREE = b"\x00\x00\x00\x0cfree\x00\x00\x00\x00"


def record(profile: int, compatibility: int) -> bytes:
    return bytes([1, 0, profile << 1, 0b1101, compatibility << 4]) + bytes(19)


def box(name: bytes, content: bytes, *, is_large: bool = False) -> bytes:
    if is_large:
        return b"\x00\x00\x00\x01" + name + (16 + len(content)).to_bytes(8, "big") + content
    return (8 + len(content)).to_bytes(4, "big") + name + content


def matroska(content: bytes) -> bytes:
    """The mapping of a block addition: its type, and its extra data."""
    return b"\x1a\x45\xdf\xa3" + bytes(50) + b"\x41\xe7\x84dvcC" + b"\x41\xed\x98" + content


@pytest.mark.parametrize(
    ("profile", "compatibility", "lacks"),
    [(5, 0, True), (10, 0, True), (10, 1, False), (8, 1, False), (7, 6, False), (4, 2, False)],
)
def test_profiles_with_which_nothing_is_compatible_lack_a_base_layer(
    profile: int,
    compatibility: int,
    lacks: bool,  # noqa: FBT001
    tmp_path: Path,
):
    path = tmp_path / "film"
    movie = box(b"moov", b"\x00" * 9 + box(b"dvcC", record(profile, compatibility)))
    for content, container in (
        (FREE + box(b"mdat", bytes(99)) + movie, MP4),
        (box(b"mdat", bytes(99), is_large=True) + movie, MP4),
        (matroska(record(profile, compatibility)), MATROSKA),
    ):
        path.write_bytes(b"before" + content)
        assert lacks_base_layer(path, 6, container) == lacks
        assert not lacks_base_layer(path, 6, "mpegts")


def test_a_record_in_the_pictures_says_nothing(tmp_path: Path):
    path = tmp_path / "film"
    path.write_bytes(box(b"mdat", box(b"dvcC", record(5, 0))) + box(b"moov", bytes(20)))
    assert not lacks_base_layer(path, 0, MP4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"moov", b"dvcC", b"\x41\xed", FREE]))),
    container=st.sampled_from([MP4, MATROSKA]),
)
def test_any_bytes_are_read(content: list[bytes], container: str, tmp_path: Path):
    path = tmp_path / "film"
    path.write_bytes(b"".join(content))
    assert lacks_base_layer(path, 0, container) in {True, False}


def test_colours_survive_being_coded_as_intensity_and_differences():
    rgb = np.random.default_rng(0).random((4, 8, 3)) * 150
    cones = rgb @ np.linalg.inv(dolby.CONES_TO_BT2020).T @ dolby.CROSSTALK.T
    ipt = tone_map.nits_to_pq(cones) @ np.linalg.inv(dolby.IPT_TO_CONES).T
    coded = np.rint(ipt * dolby.HIGHEST + [0, dolby.MIDDLE, dolby.MIDDLE]).astype(np.uint16)

    light = tone_map.pq_to_nits(dolby.to_pq(coded) / dolby.HIGHEST)

    assert np.abs(light - rgb).max() < 0.5
