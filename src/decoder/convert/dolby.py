"""Dolby Vision's own colours, IPT-PQ-c2, to RGB coded in PQ with the primaries of BT.2020.

The metadata that changes from scene to scene is not applied.
"""

import numpy as np
import numpy.typing as npt

from decoder.convert.tone_map import nits_to_pq, pq_to_nits

# ITU-T H.273, matrix coefficients 15: from intensity and two differences to the responses of the cones, coded in PQ.
IPT_TO_CONES = np.array([[8192, 799, 1681], [8192, -933, 1091], [8192, 267, -5545]], np.float64) / 8192
# 2 % of each response was mixed into the others before they were coded.
CROSSTALK = np.full((3, 3), 0.02) + np.eye(3) * 0.94
# ITU-R BT.2100, table 7, is the inverse, without the crosstalk of its own.
CONES_TO_BT2020 = np.array([
    [3.06441879, -2.16597676, 0.10155818],
    [-0.65612108, 1.78554118, -0.12943749],
    [0.01736321, -0.04725154, 1.03004253],
])  # fmt: skip
TO_BT2020 = CONES_TO_BT2020 @ np.linalg.inv(CROSSTALK)
HIGHEST, MIDDLE = 65_535, 32_768
"""The largest code of 16 bits, and that of no difference."""


def to_pq(pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Return RGB uint16 (H, W, 3) for I, P and T, uint16 (H, W, 3) in full range."""
    ipt = (pixels - np.array([0, MIDDLE, MIDDLE])) / HIGHEST
    cones = pq_to_nits(np.clip(ipt @ IPT_TO_CONES.T, 0, 1))
    light = np.maximum(cones @ TO_BT2020.T, 0)
    return np.rint(nits_to_pq(light) * HIGHEST).astype(np.uint16)
