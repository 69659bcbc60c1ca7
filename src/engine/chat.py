"""Renders a message and a chunk's frames as the model's prompt; the engine and the test model's training share it."""

from collections.abc import Sequence
from typing import Any

from records import FrameBatch, Message

MS_PER_S = 1000


def chat_text(processor: Any, message: Message, media: Sequence[str] = ()) -> str:
    """Return the message in the model's chat format, up to where the answer begins.

    Args:
        processor: the checkpoint's Hugging Face processor.
        message: system text and user turn.
        media: `video` or `image`, one for each that stands before the user's text.
    """
    content = [*({"type": kind} for kind in media), {"type": "text", "text": message.user}]
    conversation = [
        {"role": "system", "content": [{"type": "text", "text": message.system}]},
        {"role": "user", "content": content},
    ]
    text: str = processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    return text


def video_metadata(batch: FrameBatch) -> dict[str, Any]:
    """Return what makes the processor stamp the frames with their times in the whole video.

    Its timestamps are frames_indices / fps: at 1000 fps the indices are global milliseconds.
    """
    return {
        "fps": MS_PER_S,
        "frames_indices": [round(time_s * MS_PER_S) for time_s in batch.times_s],
        "total_num_frames": len(batch.times_s),
        "duration": batch.chunk.seen_end_s - batch.chunk.start_s,
    }
