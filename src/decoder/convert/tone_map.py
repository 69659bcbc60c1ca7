"""Maps pictures of a high dynamic range (HDR), coded in PQ or HLG, to what an ordinary (SDR) screen shows."""

from functools import cache

import numpy as np
import numpy.typing as npt

# ITU-T H.273 numbers of transfer characteristics and primaries.
PQ, HLG = 16, 18
BT2020, UNSPECIFIED = 9, 2
WHITE_NITS = 203.0
"""Diffuse white, ITU-R BT.2408. It becomes the screen's white."""
PEAK_NITS = 1000.0
"""The peak of the usual mastering display. Anything brighter is clipped to it."""
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
"""Constants of the PQ curve, SMPTE ST 2084."""
A, B, C = 0.17883277, 0.28466892, 0.55991073
"""Constants of the HLG curve, ITU-R BT.2100. Below the middle of its signal the curve is a square."""
MIDDLE = 0.5
SRGB_TOE = 0.0031308
LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Linear light of BT.2020 to BT.709, ITU-R BT.2407."""
CODES = 65_536
"""How many values a sample of 16 bits has."""


def is_hdr(transfer: int) -> bool:
    """Whether pictures with a transfer characteristic need `to_sdr`."""
    return transfer in (PQ, HLG)


def to_sdr(pixels: npt.NDArray[np.uint16], transfer: int, primaries: int) -> npt.NDArray[np.uint8]:
    """Return sRGB uint8 (H, W, 3) for RGB uint16 (H, W, 3) coded in PQ or HLG.

    Brightness above the knee of ITU-R BT.2390's curve is compressed. All channels of a pixel are multiplied by the same
    factor, which keeps its hue.
    """
    light = _linear(transfer)[pixels]
    if transfer == HLG:
        light *= (light @ LUMA)[..., None] ** np.float32(0.2) * np.float32(PEAK_NITS / WHITE_NITS)
    if primaries in (BT2020, UNSPECIFIED):  # ITU-R BT.2100 has no other primaries
        light = np.maximum(light @ TO_BT709.T, 0)
    levels, factors = _compression()
    light *= np.interp(light.max(-1), levels, factors).astype(np.float32)[..., None]
    codes = (np.minimum(light, 1) * np.float32(CODES - 1)).astype(np.uint16)
    return _display_codes()[codes]


@cache
def _linear(transfer: int) -> npt.NDArray[np.float32]:
    """Linear light for every code: for PQ in units of diffuse white, for HLG that of the scene, from 0 to 1."""
    signal = np.arange(CODES) / (CODES - 1)
    if transfer == PQ:
        light = pq_to_nits(signal) / WHITE_NITS
    else:
        light = np.where(signal <= MIDDLE, signal**2 / 3, (np.exp((signal - C) / A) + B) / 12)
    return light.astype(np.float32)


@cache
def _compression() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Levels of light, and the factor for pixels whose strongest channel has that level, ITU-R BT.2390-11, 5.4.1."""
    levels = np.linspace(0, 1, 1024)[1:] ** 2 * PEAK_NITS / WHITE_NITS
    peak = nits_to_pq(np.array(PEAK_NITS))
    source = nits_to_pq(levels * WHITE_NITS) / peak
    white = nits_to_pq(np.array(WHITE_NITS)) / peak
    knee = 1.5 * white - 0.5
    t = (source - knee) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    target = np.where(source < knee, source, curve)
    return levels, pq_to_nits(target * peak) / WHITE_NITS / levels


@cache
def _display_codes() -> npt.NDArray[np.uint8]:
    """The sRGB code for every level of linear light, IEC 61966-2-1."""
    light = np.arange(CODES) / (CODES - 1)
    signal = np.where(light <= SRGB_TOE, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * signal), np.uint8)


def pq_to_nits(code: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Light for a signal coded in PQ, from 0 to 1."""
    root = code ** (1 / M2)
    return np.asarray(10_000 * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1))


def nits_to_pq(light_nits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The signal in PQ, from 0 to 1, for light."""
    power = (light_nits / 10_000) ** M1
    return np.asarray(((C1 + C2 * power) / (1 + C3 * power)) ** M2)
