"""Which file knows a codec's headers."""

from collections.abc import Mapping

from decoder.bitstream.av1 import Av1
from decoder.bitstream.base import BitstreamParser, IntraOnly
from decoder.bitstream.h264 import H264
from decoder.bitstream.hevc import Hevc
from decoder.bitstream.mpeg import Mpeg2, Mpeg4Part2
from decoder.bitstream.vpx import Vp8, Vp9

PARSERS: Mapping[str, type[BitstreamParser]] = {
    "h264": H264,
    "hevc": Hevc,
    "av1": Av1,
    "vp8": Vp8,
    "vp9": Vp9,
    "prores": IntraOnly,
    "mjpeg": IntraOnly,
    "mpeg1video": Mpeg2,
    "mpeg2video": Mpeg2,
    "mpeg4": Mpeg4Part2,
}
"""By the names of protocol.CODECS. Every picture of the other codecs is decoded."""


def parser_for(codec: str, extradata: bytes, first_packet: bytes | None = None) -> BitstreamParser:
    """A parser for a stream of a codec.

    Args:
        codec: its name in libav.
        extradata: the stream's configuration.
        first_packet: the stream's first packet, for a parser that may begin later.
    """
    parser = PARSERS.get(codec, BitstreamParser)(extradata)
    if first_packet is not None:
        parser.parse(first_packet)
    return parser
