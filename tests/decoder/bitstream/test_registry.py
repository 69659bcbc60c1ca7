"""Every codec with a parser is a supported one, and no parser fails on any bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bit_writer import BitWriter
from decoder.bitstream.av1 import Av1, UnsupportedSyntax, parse_sequence_header, split_obus
from decoder.bitstream.base import BitstreamParser, IntraOnly, ReferenceInfo
from decoder.bitstream.bits import BitReader
from decoder.bitstream.registry import PARSERS, parser_for
from protocol import CODECS

PREFIXES = [
    b"", b"\x00\x00\x01", b"\x00\x00\x00\x01", b"\x00\x00\x01\x67\x64\x00\x1f", b"\x00\x00\x01\x68",
    b"\x00\x00\x01\x06\x06",
    b"\x00\x00\x01\x01", b"\x00\x00\x01\x42\x01", b"\x00\x00\x01\x44\x01", b"\x00\x00\x01\x02", b"\x00\x00\x01\xb3",
    b"\x00\x00\x01\x00", b"\x00\x00\x01\x20", b"\x00\x00\x01\xb6", b"\x0a\x0b", b"\x32\x08", b"\x1a\x02", b"\x86",
    b"\x01\x64\x00\x1f\xff\xe1", b"\x00\x00\x00\x09",
]  # fmt: skip
"""How units of H.264 and HEVC, headers of MPEG-2 and MPEG-4, units of AV1, frames of VP9 and configurations begin."""
ANY_BYTES = st.lists(st.tuples(st.sampled_from(PREFIXES), st.binary(max_size=40)).map(b"".join), max_size=6).map(
    b"".join
)
SLOTS = range(256)


def test_every_codec_with_a_parser_is_supported():
    assert PARSERS.keys() <= CODECS.keys()


def test_all_pictures_of_a_codec_without_a_parser_are_needed():
    assert parser_for("theora", b"").parse(b"x") == ReferenceInfo()
    assert type(parser_for("theora", b"")) is BitstreamParser


def test_every_picture_of_an_intra_codec_stands_alone():
    assert {codec for codec, parser in PARSERS.items() if parser is IntraOnly} == {"prores", "mjpeg"}
    assert IntraOnly().parse(b"x") == ReferenceInfo(ref_slots=0, refresh_slots=0, is_closed_rap=True)


@pytest.mark.parametrize("codec", PARSERS)
@given(extradata=ANY_BYTES, packets=st.lists(ANY_BYTES, max_size=5))
def test_a_parser_takes_any_bytes(codec: str, extradata: bytes, packets: list[bytes]):
    parser = parser_for(codec, extradata)

    for packet in packets:
        info = parser.parse(packet)
        assert all(one.ref_slots in SLOTS and one.refresh_slots in SLOTS for one in (info, *info.frames))
        if info.frames:
            assert len(parser.drop_frames(packet, {0})) == len(packet)


@given(st.binary(max_size=200))
def test_headers_of_av1_end_in_an_error_of_their_own(content: bytes):
    with suppress(UnsupportedSyntax, EOFError):
        parse_sequence_header(BitReader(content))
    with suppress(UnsupportedSyntax, EOFError):
        list(split_obus(content))
    assert Av1(content).parse(b"") == ReferenceInfo(ref_slots=0, refresh_slots=0)


FIELDS = st.one_of(
    st.tuples(st.just("read"), st.integers(1, 70)).flatmap(
        lambda field: st.tuples(st.just(field), st.integers(0, 2 ** field[1] - 1))
    ),
    st.tuples(st.just(("unsigned", 0)), st.integers(0, 2**32)),
    st.tuples(st.just(("signed", 0)), st.integers(-(2**31), 2**31)),
)


@given(st.lists(FIELDS, max_size=20))
def test_fields_are_read_as_they_were_written(fields: list[tuple[tuple[str, int], int]]):
    writer = BitWriter()
    for (kind, count), value in fields:
        if kind == "read":
            writer.write(value, count)
        else:
            getattr(writer, kind)(value)

    reader = BitReader(writer.to_bytes())

    assert [reader.read(count) if kind == "read" else getattr(reader, kind)() for (kind, count), _ in fields] == [
        value for _, value in fields
    ]
    with pytest.raises(EOFError):
        reader.read(8)
