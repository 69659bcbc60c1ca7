"""What the worker and the children that open a video both know, and say to each other."""

import struct
from dataclasses import dataclass

DECODERS = (
    "h264,hevc,libdav1d,vp8,vp9,theora,prores,mjpeg,mpeg1video,mpeg2video,mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4,h263,"
    "wmv1,wmv2,wmv3,vc1,flv,vp6,vp6f"
)
"""Those of libav that may look into a file while it is opened: those of decoder.probe.CODECS, none for sound."""
MAX_STREAMS = 64
"""Of a file that is opened."""
RECORD = struct.Struct("<qqd?")
"""Header of one picture: index of the first instant it serves, number of instants, its own time in seconds from
the grid's origin, and whether the decoder made up a part of it. height_px * width_px * 3 bytes of RGB follow. After
the last picture comes a record of no instants, and SUMMARY."""
SUMMARY = struct.Struct("<qqq")
"""How many packets were read and how many of them decoded, and how many groups of pictures by themselves."""


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """What to decode: the pictures on screen k / fps seconds after first_pts, for start <= k < stop."""

    path: str
    stream_index: int
    codec: str
    first_pts: int
    time_base_s: str
    """Seconds per tick: a fraction, as str(Fraction) writes it, as the rates are."""
    video_fps: str
    """The video's mean rate: how long its last picture stays if its container does not say."""
    fps: str
    start: int
    stop: int
    height_px: int
    width_px: int
    threads: int
    on_gpu: bool
    """With the GPU's decoder, or not at all."""
    fast: bool
    """Without loop filters."""
    seekable: bool
    """A place in the file can be decoded without what is before it."""
    keyframes_only: bool
    """Only intra pictures: the first that starts in each interval of the grid, if any. It serves until the next one."""

    @property
    def picture_bytes(self) -> int:
        """Of a picture of its final size."""
        return 3 * self.height_px * self.width_px
