"""What a packet of an MPEG transport stream looks like: ISO/IEC 13818-1, 2.4.3.2."""

from typing import Final

SYNC_BYTE: Final = b"\x47"
"""With it each packet begins."""
PACKET_BYTES: Final = 188
DISTANCES_BYTES: Final = (188, 192, 204)
"""From one packet to the next: plain, with a time before each, with a check sum after each."""
PACKETS_COMPARED: Final = 5
"""So many sync bytes at the same distance tell where packets are."""
