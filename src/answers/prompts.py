"""What the model is told: chunk and synthesis messages. Pure text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from records import Chunk, ChunkResult

CONTROL_TOKEN = re.compile(r"<\|(?=[a-z_]+\|>)")
STRUCTURE = re.compile(r"^(?=[ \t]*(?:\[[\d.]+ to [\d.]+ seconds\]|question:))", re.IGNORECASE | re.MULTILINE)
"""The beginning of a line that looks like one of a synthesis prompt's own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One user turn under a system text. The engine puts the frames or images before `user`."""

    system: str
    user: str


SYSTEM = "You answer questions about videos. You say only what can be seen, and you say so when something is not seen."

# Constant text follows the frames for at least one KV block (16 tokens), so that the same chunk with
# another question finds all its frames in the prefix cache; what varies comes after it.
CHUNK_LEAD = (
    "The frames above are one part of a longer video. The time before each pair of frames is its position in the "
    "whole video, in seconds. Use these times when you say when something happens. If this part does not show what "
    "is asked for, say that it is not seen in this part."
)
IMAGES_LEAD = "Answer about the images above."
MERGE_LEAD = (
    "Below are notes on successive parts of one video, made by a viewer who saw one part at a time. Times are "
    "seconds from the start of the whole video. Neighbouring parts overlap a little, so the end of one part and the "
    "start of the next may tell the same event twice: tell it once. Answer from these notes alone; keep their times; "
    "where they do not show what is asked for, say that it is not seen."
)


def chunk_message(question: str, chunk: Chunk) -> Message:
    """Ask the user's question of one chunk."""
    span = f"This part shows {_seconds(chunk.start_s)} to {_seconds(chunk.seen_end_s)} seconds."
    return Message(SYSTEM, f"{CHUNK_LEAD}\n{span}\n\nQuestion: {literal(question)}")


def images_message(question: str) -> Message:
    """Ask the user's question of still images."""
    return Message(SYSTEM, f"{IMAGES_LEAD}\n\nQuestion: {literal(question)}")


def note(result: ChunkResult) -> str:
    """One chunk's answer as a note for the synthesis; a failed chunk is named as not seen."""
    span = f"[{_seconds(result.chunk.start_s)} to {_seconds(result.chunk.end_s)} seconds]"
    if result.generation is None:
        return f"{span} This part could not be watched."
    return f"{span} {quoted(result.generation.text)}"


def merge_message(question: str, notes: Sequence[str]) -> Message:
    """Ask the user's question of the notes on all parts."""
    return Message(SYSTEM, f"{MERGE_LEAD}\n\n{chr(10).join(notes)}\n\nQuestion: {literal(question)}")


def quoted(answer: str) -> str:
    """Return the model's answer for a prompt; no line of it, read off a sign in the video, passes for the prompt's."""
    return STRUCTURE.sub("> ", literal(answer.strip()))


def literal(text: str) -> str:
    """Return text in which nothing is read as a control token: `<|im_end|>` becomes `< |im_end|>`."""
    return CONTROL_TOKEN.sub("< |", text)


def _seconds(time_s: float) -> str:
    return f"{time_s:.1f}"
