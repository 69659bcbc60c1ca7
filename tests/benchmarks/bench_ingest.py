"""`make bench-ingest`: the time to get a video's frames, against other libraries and against decoding all frames."""

import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import numpy as np
from PIL import Image

from benchmarks.memory import peak_memory
from benchmarks.peers import CHUNK_S, CONTENDERS, FIRST_CHUNK, HEIGHT_PX, OVERLAP_S, SAMPLE_FPS, WIDTH_PX
from benchmarks.report import publish
from clips import ONE_FILTER_THREAD, REPRODUCIBLE, X265_THREADS
from config import Settings
from frame_extractor import FrameExtractor
from records import Chunk, SampleGrid

MEDIA, PEERS = ROOT / ".cache" / "bench_ingest_one_thread", ROOT / ".cache" / "peers"
FPS = 30
ROUNDS, RIVALS_ROUNDS = 5, 2
# Moving, grainy pictures with a cut every seven seconds, which resemble camera footage more than a test card does.
PICTURES = "testsrc2=s={size}:r={fps}:d={duration_s},scroll=h=0.002:v=0.001,hue=h='60*floor(t/7)',noise=alls=4:allf=t"
FULL_HD, UHD = "1920x1080", "3840x2160"
FILMS = {
    "h264": (16, 6, FULL_HD, "mp4", "-c:v libx264 -preset medium -crf 23"),
    "h264-gop60": (6, 8, FULL_HD, "mp4", "-c:v libx264 -preset medium -crf 23 -g 60"),
    "h264-no-b": (6, 8, FULL_HD, "mp4", "-c:v libx264 -preset medium -crf 23 -bf 0"),
    "h264-4k": (3, 10, UHD, "mp4", "-c:v libx264 -preset veryfast -bf 3 -crf 23"),
    "hevc": (5, 10, FULL_HD, "mp4", f"-c:v libx265 -preset medium -x265-params log-level=error:{X265_THREADS}"),
    "svt-av1": (6, 8, FULL_HD, "mp4", "-c:v libsvtav1 -svtav1-params lp=1 -preset 8 -g 240"),
    "libaom": (3, 16, FULL_HD, "mkv", "-c:v libaom-av1 -cpu-used 8 -row-mt 1 -crf 35"),
    "vp9": (6, 8, FULL_HD, "webm", "-c:v libvpx-vp9 -cpu-used 5 -deadline good -row-mt 1 -b:v 3M"),
}
"""By name: seconds encoded, repetitions, frame size, container, ffmpeg options. All contenders get the first film."""
MAIN = "h264"
RIVALS = ("full_decode", "torchcodec", "opencv", "ffmpeg_pipe")
"""The fastest contenders, which get the other films too."""
SHORT_S, LONG_S = 600, 36_000
TARGETS = {
    "vs_full_decode": "<= 0.60",
    "vs_full_decode_fast": "<= 0.50",
    "speedup: qwen_vl_utils_torchcodec": ">= 4.5",
    "speedup: torchcodec": ">= 2.1",
    "speedup: decord": ">= 2.1",
    "speedup: vllm_loader": ">= 2.1",
    "speedup: opencv": ">= 1.9",
    "speedup: ffmpeg_pipe": ">= 1.9",
    "hevc_vs_full_decode": "<= 0.60",
    "av1_vs_full_decode": "<= 0.40",
    "psnr_db": ">= 50",
    "psnr_fast_db": ">= 43",
    "rss_growth_10h": "<= 0.10",
    "peak_rss_mb": f"<= {2 * SAMPLE_FPS * (CHUNK_S + OVERLAP_S) * HEIGHT_PX * WIDTH_PX * 3 / 1e6 + 150:.0f}",
    "first_chunk_ratio": "<= 1.3",
}


def main() -> None:
    """Measure everything; with `memory VIDEO`, decode one film's frames and print the peak memory."""
    if sys.argv[1:2] == ["memory"]:
        print(asyncio.run(peak_bytes(Path(sys.argv[2]))))
        return
    main_rounds = rounds(MAIN, list(CONTENDERS))
    peers = [name for name in CONTENDERS if name not in ("worker", "worker_fast", "full_decode")]
    others = {name: rounds(name, ["worker", *RIVALS]) for name in FILMS if name != MAIN}
    vs_limit = {name: ratio(some, "worker", "full_decode") for name, some in others.items()}
    publish(
        "ingest",
        {
            "vs_full_decode": ratio(main_rounds, "worker", "full_decode"),
            "vs_full_decode_fast": ratio(main_rounds, "worker_fast", "full_decode"),
            "hevc_vs_full_decode": vs_limit.pop("hevc"),
            "av1_vs_full_decode": vs_limit.pop("svt-av1"),
            "others_vs_full_decode": vs_limit,
            "speedup": {peer: ratio(main_rounds, peer, "worker") for peer in peers},
            "other_codecs": {
                name: max(ratio(some, "worker", rival) for rival in RIVALS[1:]) for name, some in others.items()
            },
            "psnr_db": psnr_db(fast=False),
            "psnr_fast_db": psnr_db(fast=True),
            "first_chunk_ratio": first_chunk_ratio(),
            "adaptive_frames": {
                "moving": asyncio.run(adaptive_share(film(MAIN))),
                "slides": asyncio.run(adaptive_share(slides())),
            },
            **memory_figures(),
            "peers_peak_rss_mb": {
                peer: statistics.median(each[peer]["peak_rss_mb"] for each in main_rounds) for peer in peers
            },
        },
        TARGETS,
    )


def film(name: str) -> Path:
    """Make a film: its seconds are encoded once, then their packets are repeated."""
    encoded_s, times, size, container, options = FILMS[name]
    once, path = MEDIA / f"{name}.once.{container}", MEDIA / f"{name}.{container}"
    if not path.exists():
        pictures = PICTURES.format(size=size, fps=FPS, duration_s=encoded_s)
        run_ffmpeg(once, "-filter_complex", pictures, *options.split(), "-pix_fmt", "yuv420p")
        run_ffmpeg(path, "-stream_loop", str(times - 1), "-i", str(once), "-c", "copy")
    return path


def duration_of(name: str) -> int:
    """The duration of a film in seconds."""
    return FILMS[name][0] * FILMS[name][1]


def run_ffmpeg(path: Path, *arguments: str) -> None:
    """Make a file with ffmpeg; it is complete or does not exist, and its bytes do not depend on the machine."""
    MEDIA.mkdir(parents=True, exist_ok=True)
    partial = path.with_stem(f"{path.stem}.partial")
    command = ["ffmpeg", "-v", "error", "-y", *ONE_FILTER_THREAD, *arguments, *REPRODUCIBLE, str(partial)]
    subprocess.run(command, check=True)
    partial.rename(path)


def measured(contender: str, path: Path, duration_s: float) -> dict[str, float]:
    """Run a contender once in its own process. One that cannot read the file (OpenCV: AV1) takes infinitely long."""
    program = Path(__file__).with_name("peers.py")
    run = subprocess.run(
        [sys.executable, program, contender, str(path), str(duration_s), str(FPS)],
        check=False, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PEERS)},
    )  # fmt: skip
    if run.returncode and contender in RIVALS:
        return {"wall_s": math.inf}
    if run.returncode:
        sys.exit(f"{contender} failed on {path.name}:\n{run.stderr}")
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return figures


Round = dict[str, dict[str, float]]
"""The figures of each contender, run in sequence."""


def rounds(name: str, contenders: Sequence[str]) -> list[Round]:
    """Run every contender on a film, in alternating order, because some slow the machine down for the next one."""
    path = film(name)
    done: list[Round] = []
    for number in range(ROUNDS if name == MAIN else RIVALS_ROUNDS):
        done.append({})
        for contender in contenders[:: -1 if number % 2 else 1]:
            done[-1][contender] = measured(contender, path, duration_of(name))
            print(f"{name}, round {number + 1}, {contender}: {done[-1][contender]['wall_s']:.2f} s", flush=True)
    return done


def ratio(some: Sequence[Round], one: str, other: str) -> float:
    """The median over the rounds of the ratio of two contenders' times; within a round the machine is in one state."""
    return statistics.median(each[one]["wall_s"] / each[other]["wall_s"] for each in some)


def first_chunk_ratio() -> float:
    """Time to the first chunk of a film of 16 min, divided by the time for a film that consists of that chunk."""
    source = film(MAIN)
    long, alone = MEDIA / "long.mp4", MEDIA / "first-chunk.mp4"
    if not alone.exists():
        run_ffmpeg(long, "-stream_loop", "9", "-i", str(source), "-c", "copy")
        run_ffmpeg(alone, "-i", str(source), "-t", str(CHUNK_S + OVERLAP_S), "-c", "copy")
    ratios = []
    for _ in range(ROUNDS):
        first_s = measured(FIRST_CHUNK, long, 10 * duration_of(MAIN))["first_chunk_s"]
        ratios.append(first_s / measured(FIRST_CHUNK, alone, CHUNK_S + OVERLAP_S)["first_chunk_s"])
    return statistics.median(ratios)


def psnr_db(*, fast: bool) -> float:
    """PSNR of the worker's frames, one every seven seconds, against frames that Pillow scales in floating point."""
    planar = subprocess.run(
        ["ffmpeg", "-v", "error", "-t", str(CHUNK_S), "-i", str(film(MAIN)), "-vf", f"select='not(mod(n,{7 * FPS}))'",
         "-vsync", "0", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:"],
        check=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    width_px, height_px = map(int, FULL_HD.split("x"))
    pictures = np.frombuffer(planar, np.uint8).reshape(-1, height_px * 3 // 2, width_px)
    reference = [_shrunk(picture[:height_px], picture[height_px:]) for picture in pictures]

    async def frames() -> np.ndarray:
        extractor = FrameExtractor(Settings(fast_decode=fast))
        info = await extractor.get_video_info(film(MAIN))
        sampling, chunk = SampleGrid(0, Fraction(1, 7), HEIGHT_PX, WIDTH_PX), Chunk(0, 0, CHUNK_S, CHUNK_S)
        return (await extractor.extract_frames(film(MAIN), info, sampling, chunk)).pixels

    pixels = asyncio.run(frames())
    errors = [np.mean((one.astype(float) - other) ** 2) for one, other in zip(pixels, reference, strict=True)]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def _shrunk(luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Scale a frame and convert it from limited-range BT.709 to RGB: ITU-R BT.709-6, section 3."""
    blue, red = chroma.reshape(2, luma.shape[0] // 2, luma.shape[1] // 2)
    y, cb, cr = (
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC))
        for plane in (luma, blue, red)
    )
    y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    rgb = np.stack([y + 1.5748 * cr, y - 0.1873 * cb - 0.4681 * cr, y + 1.8556 * cb], axis=-1)
    return np.clip(255 * rgb, 0, 255)


def slides() -> Path:
    """Make a film of grainy still pictures, each shown for seven seconds."""
    path = MEDIA / "slides.mp4"
    if not path.exists():
        pictures = f"testsrc2=s=1280x720:r=1/7:d=63,fps={FPS},noise=alls=4:allf=t"
        run_ffmpeg(path, "-filter_complex", pictures, "-pix_fmt", "yuv420p")
    return path


async def adaptive_share(path: Path) -> float:
    """The share of a film's frames, and therefore of its tokens, that `adaptive` sampling keeps."""
    extractor = FrameExtractor(Settings())
    info = await extractor.get_video_info(path)
    whole = Chunk(0, 0, CHUNK_S, CHUNK_S)
    sampling = SampleGrid(0, Fraction(SAMPLE_FPS), HEIGHT_PX, WIDTH_PX)
    batch = await extractor.extract_frames(path, info, sampling, whole, selection="adaptive")
    return len(batch.times_s) / len(sampling.indices(whole))


def memory_figures() -> dict[str, float]:
    """Peak memory, children included, of decoding the frames of the main film, of ten minutes and of ten hours."""
    minute = MEDIA / "minute.mp4"
    if not minute.exists():
        pictures = PICTURES.format(size="320x180", fps=10, duration_s=60)
        run_ffmpeg(minute, "-filter_complex", pictures, "-pix_fmt", "yuv420p")
    peaks = {}
    for duration_s in (SHORT_S, LONG_S):
        path = MEDIA / f"{duration_s}-s.mp4"
        if not path.exists():
            run_ffmpeg(path, "-stream_loop", str(duration_s // 60 - 1), "-i", str(minute), "-c", "copy")
        peaks[duration_s] = _peak_bytes_in_a_process(path)
    return {
        "rss_growth_10h": peaks[LONG_S] / peaks[SHORT_S] - 1,
        "peak_rss_mb": _peak_bytes_in_a_process(film(MAIN)) / 1e6,
    }


def _peak_bytes_in_a_process(path: Path) -> int:
    return int(subprocess.run([sys.executable, __file__, "memory", path], check=True, stdout=subprocess.PIPE).stdout)


async def peak_bytes(path: Path) -> int:
    """Decode a film's frames chunk by chunk and return the peak memory of this process and its children."""
    extractor = FrameExtractor(Settings())
    with peak_memory() as peak:
        info = await extractor.get_video_info(path)
        starts_s = range(0, int(info.end_s), CHUNK_S)
        chunks = [
            Chunk(index, start_s, min(start_s + CHUNK_S, info.end_s), min(start_s + CHUNK_S + OVERLAP_S, info.end_s))
            for index, start_s in enumerate(starts_s)
        ]
        sampling = SampleGrid(0, Fraction(SAMPLE_FPS), HEIGHT_PX, WIDTH_PX)
        async for batch in extractor.stream_frames(path, info, sampling, chunks):
            del batch
    return peak[0]


if __name__ == "__main__":
    main()
