"""Asks one question about one chunk, and once more if that fails: about half of its frames if all do not fit."""

import logging
from dataclasses import replace

from answers.forms import FORMS
from engine.interface import Engine
from errors import NoFrames, PromptTooLong, WorkerError
from records import Answer, FrameBatch, GenerationOptions, Question
from vision import MIN_FRAMES

log = logging.getLogger(__name__)


async def ask(engine: Engine, question: Question, batch: FrameBatch, options: GenerationOptions) -> Answer:
    """Return the answer; a failure that leaves the engine alive is part of it.

    Raises:
        EngineDead: no other chunk can succeed either.
    """
    try:
        return await _ask_once(engine, question, batch, options)
    except NoFrames as exc:
        return Answer.missing(batch.watched, question, batch.watched.fault or str(exc))
    except WorkerError as exc:
        if exc.refresh_worker:
            raise
        log.warning("chunk %d is asked again: %s", batch.chunk.index, exc)
        batch = _smaller(batch) if isinstance(exc, PromptTooLong) else batch
    try:
        return await _ask_once(engine, question, batch, options)
    except WorkerError as exc:
        if exc.refresh_worker:
            raise
        # Only the text is kept: the exception's traceback would keep the pixels alive.
        return Answer.missing(batch.watched, question, str(exc))


def _smaller(batch: FrameBatch) -> FrameBatch:
    """Return half of the frames, and say so; frames as few as the model needs stay."""
    if batch.watched.num_frames < 2 * MIN_FRAMES:
        return batch
    halved = batch.halved()
    lost = f"chunk {batch.chunk.index} was asked about half of its frames, because all of them did not fit the context"
    return replace(halved, watched=replace(halved.watched, adjustments=(*halved.watched.adjustments, lost)))


async def _ask_once(engine: Engine, question: Question, batch: FrameBatch, options: GenerationOptions) -> Answer:
    if not batch.watched.num_frames:
        raise NoFrames("No picture of this part of the video could be decoded.")
    form = FORMS[question.form]
    generation = await engine.generate_on_frames(form.chunk_message(question, batch.chunk), batch, options)
    value = form.parse(generation.text)
    return Answer(batch.watched, question.index, question.form, value, generations=(generation,))
