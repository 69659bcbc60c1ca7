"""`make foreign`: makes all inputs, has the worker read them, and prints what it says beside what is right.

Names, or parts of names, as arguments choose inputs.
"""

import asyncio
import logging
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from foreign.case import Foreign, Right
from foreign.corpus import INPUTS, file_of
from foreign.not_yet import NOT_YET
from foreign.reading import judged

NARROWEST_TABLE = 90
VERDICTS = {(True, False): "right", (False, True): "not yet", (False, False): "WRONG", (True, True): "MENDED"}
"""By whether an input is read rightly, and whether it is listed as one that is not."""


def right_value(right: Right) -> str:
    """What is right, in the words of Reading.summary."""
    if right.status not in ("complete", "partial"):
        return right.status
    least, most = right.coverage
    facts = [f"{right.status} {least:.2f}" + (f" to {most:.2f}" if most > least else "")]
    facts += [f"{right.duration_s:.2f} s"] if right.duration_s is not None else []
    facts += [f"{right.num_pictures} pictures"] if right.num_pictures is not None else []
    return ", ".join(facts)


def rows(one: Foreign, said: str, found: list[str], width: int) -> list[str]:
    """The lines of one input: a row where there is room for columns, otherwise a block."""
    verdict = VERDICTS[not found, one.name in NOT_YET]
    right = right_value(one.right)
    faults = [f"    {fault}"[:width] for fault in found]
    if width >= NARROWEST_TABLE:
        return [f"{one.name:<29.29}{one.kind:<16.16}{right:<37.37} {verdict}"[:width], f"    says {said}", *faults]
    return [f"{one.name:<30.30} {one.kind:<15.15} {verdict}", f"    right {right}"[:width], f"    says  {said}"[:width],
            *faults]  # fmt: skip


async def main(wanted: list[str]) -> bool:
    """Print the table; return whether every verdict is expected."""
    width = shutil.get_terminal_size((100, 24)).columns
    counts = dict.fromkeys(VERDICTS.values(), 0)
    for one in INPUTS:
        if wanted and not any(word in one.name for word in wanted):
            continue
        reading, found = await judged(one, file_of(one))
        counts[VERDICTS[not found, one.name in NOT_YET]] += 1
        print("\n".join(rows(one, reading.summary(), found, width)), flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return not counts["WRONG"] and not counts["MENDED"]


if __name__ == "__main__":
    logging.disable()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    sys.exit(not asyncio.run(main(sys.argv[1:])))
