"""Transport streams and Ogg files tell that they were cut off by an incomplete last packet alone."""

from pathlib import Path

import pytest

from clips import H264, ClipStore, numbered_pictures
from decoder.container.formats import MPEG_TRANSPORT, OGG
from decoder.container.last_packet import ends_in_packet


@pytest.fixture(params=["plain", "with times", "with check sums", "ogg"])
def clip(request: pytest.FixtureRequest, clips: ClipStore) -> tuple[bytes, str]:
    """A file and libav's name of its container."""

    def content(name: str, options: str) -> bytes:
        return clips.encode(f"last-packet.{name}", options, numbered_pictures(10)).read_bytes()

    match request.param:
        case "ogg":
            return content("ogv", "-c:v libtheora -q 8"), OGG
        case "with times":
            return content("m2ts", f"{H264} -mpegts_m2ts_mode 1 -f mpegts"), MPEG_TRANSPORT
        case "with check sums":
            plain = content("ts", H264)
            return b"".join(
                plain[at : at + 188] + b"check" * 3 + b"!" for at in range(0, len(plain), 188)
            ), MPEG_TRANSPORT
        case _:
            return content("ts", H264), MPEG_TRANSPORT


def ends_so(content: bytes, container: str, directory: Path) -> bool:
    path = directory / "file"
    path.write_bytes(content)
    return ends_in_packet(path, len(content), container)


def test_a_whole_file_does_not_end_in_a_packet(clip: tuple[bytes, str], tmp_path: Path):
    assert not ends_so(*clip, tmp_path)


@pytest.mark.parametrize("lacking_bytes", [20, 100, 180])
def test_a_file_that_lacks_some_bytes_ends_in_a_packet(clip: tuple[bytes, str], lacking_bytes: int, tmp_path: Path):
    content, container = clip
    assert ends_so(content[:-lacking_bytes], container, tmp_path)


@pytest.mark.parametrize("padding", [bytes(1000), b"anything else" * 80])
def test_what_follows_the_last_packet_is_no_part_of_it(clip: tuple[bytes, str], padding: bytes, tmp_path: Path):
    content, container = clip
    assert not ends_so(content + padding, container, tmp_path)


def test_a_file_inside_a_file_ends_where_it_does(clip: tuple[bytes, str], tmp_path: Path):
    content, container = clip
    path = tmp_path / "file"
    path.write_bytes(2 * content)
    assert not ends_in_packet(path, len(content), container)
    assert ends_in_packet(path, len(content) - 30, container)
