"""The packets of a file as a bitstream parser is given them."""

from pathlib import Path

from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.container.streams import moving_streams


def packets_of(path: Path) -> list[bytes]:
    """The packets of the video stream, in decoding order."""
    with open_video(str(path)) as container:
        stream = moving_streams(container)[0]
        assert stream
        return [bytes(packet) for packet in Packets(container, stream)]
