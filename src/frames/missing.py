"""What is raised where a file that was fetched in parts lacks bytes; whoever fetched it can fetch the rest."""

from typing import ClassVar

from errors import MediaError


class BytesMissing(MediaError):
    """A part of the file would have to be read that was not fetched. Nothing is wrong with the file."""

    SENTENCE: ClassVar = "The video cannot be read from the parts of it that were fetched."
