"""The messages that the model is given about chunks, images and notes. Pure text."""

import re
from collections.abc import Sequence

from records import Chunk, Message

CONTROL_TOKEN = re.compile(r"<\|(?=[a-z_]+\|>)")
STRUCTURE = re.compile(r"^(?=[ \t]*(?:\[[\d.]+ to [\d.]+ seconds\]|question:))", re.IGNORECASE | re.MULTILINE)
"""The start of a line that could be taken for one of the merge prompt's own."""

SYSTEM = "You answer questions about videos. You say only what can be seen, and you say so when something is not seen."

# At least one KV block (16 tokens) of constant text follows the frames. Another question about the same chunk then
# finds all of its frames in the prefix cache; what varies between questions comes after that text.
CHUNK_LEAD = (
    "The frames above are one part of a longer video. The time before each pair of frames is its position in the "
    "whole video, in seconds. Use these times when you say when something happens. If this part does not show what "
    "is asked for, say that it is not seen in this part."
)
CUT_MARK = " [cut here]"
"""Follows a note that ends before its author had finished, or of which only the beginning fits the prompt."""
IMAGES_LEAD = "Answer about the images above."
MERGE_LEAD = (
    "Below are notes on successive parts of one video, made by a viewer who saw one part at a time. Times are "
    "seconds from the start of the whole video. Neighbouring parts overlap a little, so the end of one part and the "
    "start of the next may tell the same event twice: tell it once. Answer from these notes alone; keep their times; "
    "where they do not show what is asked for, say that it is not seen."
)


def chunk_message(question: str, chunk: Chunk, system: str | None = None) -> Message:
    """Return the message that asks the caller's question of a chunk, after the caller's system text if there is one."""
    span = f"This part shows {_seconds(chunk.start_s)} to {_seconds(chunk.seen_end_s)} seconds."
    return Message(_system(system), f"{CHUNK_LEAD}\n{span}\n\nQuestion: {escape_control_tokens(question)}")


def images_message(question: str) -> Message:
    """Return the message that asks the caller's question of still images."""
    return Message(SYSTEM, f"{IMAGES_LEAD}\n\nQuestion: {escape_control_tokens(question)}")


def note(chunk: Chunk, text: str | None, *, is_cut: bool = False) -> str:
    """Return one chunk's answer as a note for the merge; without a text the chunk is named as not watched."""
    span = f"[{_seconds(chunk.start_s)} to {_seconds(chunk.end_s)} seconds]"
    if text is None:
        return f"{span} This part could not be watched."
    return f"{span} {escape_note(text)}{CUT_MARK if is_cut else ''}"


def merge_message(question: str, notes: Sequence[str], system: str | None = None) -> Message:
    """Return the message that asks the caller's question of the notes on all chunks, which are in time order."""
    user = f"{MERGE_LEAD}\n\n{chr(10).join(notes)}\n\nQuestion: {escape_control_tokens(question)}"
    return Message(_system(system), user)


def escape_note(answer: str) -> str:
    """Return a model's answer for use in a prompt.

    A sign in the video may read like a line of the merge prompt. Such lines are marked as quoted.
    """
    return STRUCTURE.sub("> ", escape_control_tokens(answer.strip()))


def escape_control_tokens(text: str) -> str:
    """Return text that holds no control token of the model: `<|im_end|>` becomes `< |im_end|>`."""
    return CONTROL_TOKEN.sub("< |", text)


def _system(text: str | None) -> str:
    return SYSTEM if text is None else escape_control_tokens(text)


def _seconds(time_s: float) -> str:
    return f"{time_s:.1f}"
