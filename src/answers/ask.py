"""Asks one question about one chunk; a chunk that fails is asked once more, on half of its frames."""

import logging
from dataclasses import replace

from answers.forms import FORMS
from engine.interface import Engine
from errors import NoFrames, WorkerError
from records import Answer, FrameBatch, GenerationOptions, Question
from vision import MIN_FRAMES

log = logging.getLogger(__name__)


async def ask(engine: Engine, question: Question, batch: FrameBatch, options: GenerationOptions) -> Answer:
    """Return the answer; a failure that leaves the engine alive is part of it.

    Raises:
        EngineDead: no other chunk can succeed either.
    """
    answer = await _ask_once(engine, question, batch, options)
    if answer.is_answered or not batch.watched.num_frames:
        return answer
    log.warning("chunk %d is asked again: %s", batch.chunk.index, answer.error)
    if batch.watched.num_frames >= 2 * MIN_FRAMES:
        batch = batch.halved()
        lost = f"chunk {batch.chunk.index} was asked again on half of its frames, after {answer.error}"
        batch = replace(batch, watched=replace(batch.watched, adjustments=(*batch.watched.adjustments, lost)))
    return await _ask_once(engine, question, batch, options)


async def _ask_once(engine: Engine, question: Question, batch: FrameBatch, options: GenerationOptions) -> Answer:
    watched, form = batch.watched, FORMS[question.form]
    if not watched.num_frames:
        fault = watched.fault or str(NoFrames("No picture of this part of the video could be decoded."))
        return Answer.missing(watched, question, fault)
    try:
        generation = await engine.generate_on_frames(form.chunk_message(question, batch.chunk), batch, options)
    except WorkerError as exc:
        if exc.refresh_worker:
            raise
        # Only the text is kept: the exception's traceback would keep the pixels alive.
        return Answer.missing(watched, question, str(exc))
    return Answer(watched, question.index, question.form, form.parse(generation.text), generations=(generation,))
