"""Frames as JPEG files."""

from pathlib import Path

from records import FrameBatch


def save_jpegs(batch: FrameBatch, directory: Path, quality: int) -> list[Path]:
    """Write each frame to a file that is named by its time; see FrameExtractor.save_jpegs."""
    from PIL import Image  # only callers who want files pay for the import

    paths = [directory / f"frame_{round(time_s * 1000):012d}ms.jpg" for time_s in batch.times_s]
    for pixels, path in zip(batch.pixels, paths, strict=True):
        Image.fromarray(pixels).save(path, quality=quality)
    return paths
