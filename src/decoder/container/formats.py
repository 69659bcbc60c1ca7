"""libav's names of containers, and what follows from the kind of a container."""

AVI, ASF, OGG, FLV = "avi", "asf", "ogg", "flv"
MATROSKA, MP4 = "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"
MPEG_PROGRAM, MPEG_TRANSPORT = "mpeg", "mpegts"
CONCATENABLE = frozenset([MPEG_TRANSPORT, MPEG_PROGRAM, FLV])
"""Containers without an index of the whole: two such files in sequence are such a file again, and streams may appear
anywhere in them."""
COUNTED_FROM_FIRST_PICTURE = CONCATENABLE
"""Containers whose clock has no beginning: players show the first stream's start as 0. In the others it starts at 0."""
