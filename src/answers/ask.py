"""Asks one question about one chunk, and once more if that fails: of fewer frames, or with more room to answer."""

import logging
from dataclasses import replace

from answers.forms import FORMS
from answers.json_answer import InvalidAnswer, read_json
from engine.interface import Engine
from errors import AnswerInvalid, NoFrames, PromptTooLong, WorkerError
from records import Answer, AnswerSchema, FrameBatch, Generation, GenerationOptions, Json, Question
from vision import MIN_FRAMES, stamps_s

log = logging.getLogger(__name__)


async def ask(engine: Engine, question: Question, batch: FrameBatch, options: GenerationOptions) -> Answer:
    """Return the answer; a failure that leaves the engine alive is part of it.

    Raises:
        EngineDead: no other chunk can succeed either.
    """
    discarded: tuple[Generation, ...] = ()
    try:
        answer = await _ask_once(engine, question, batch, options)
    except NoFrames as exc:
        return Answer.missing(batch.watched, question, batch.watched.fault or str(exc))
    except WorkerError as exc:
        if exc.refresh_worker:
            raise
        log.warning("chunk %d is asked again: %s", batch.chunk.index, exc)
        batch = _smaller(batch) if isinstance(exc, PromptTooLong) else batch
    else:
        if answer.is_answered:
            return answer
        log.warning("chunk %d is asked again, with more room: %s", batch.chunk.index, answer.error)
        discarded, options = answer.discarded, options.roomier()
    try:
        answer = await _ask_once(engine, question, batch, options)
        return replace(answer, discarded=(*discarded, *answer.discarded))
    except WorkerError as exc:
        if exc.refresh_worker:
            raise
        # Only the text is kept: the exception's traceback would keep the pixels alive.
        return replace(Answer.missing(batch.watched, question, str(exc)), discarded=discarded)


def read_told(generation: Generation, schema: AnswerSchema | None) -> Json:
    """Return a model's text, or what the JSON in it holds.

    Raises:
        AnswerInvalid: it does not fulfil the schema; one that was cut does not.
    """
    if schema is None:
        return generation.text
    try:
        told: Json = read_json(generation.text, schema.meaning)
    except InvalidAnswer as exc:
        raise AnswerInvalid("The answer was cut before its end." if generation.is_cut else str(exc)) from exc
    return told


def _smaller(batch: FrameBatch) -> FrameBatch:
    """Return half of the frames, and say so; frames as few as the model needs stay."""
    if batch.watched.num_frames < 2 * MIN_FRAMES:
        return batch
    halved = batch.halved()
    lost = f"chunk {batch.chunk.index} was asked about half of its frames, because all of them did not fit the context"
    return replace(halved, watched=replace(halved.watched, adjustments=(*halved.watched.adjustments, lost)))


async def _ask_once(engine: Engine, question: Question, batch: FrameBatch, options: GenerationOptions) -> Answer:
    """Return the answer, or one without a value if the text is not of the asked form."""
    if not batch.watched.num_frames:
        raise NoFrames("No picture of this part of the video could be decoded.")
    form = FORMS[question.form]
    schema = form.chunk_schema(question, stamps_s(batch.times_s.tolist()))
    message = form.chunk_message(question, batch.chunk)
    held = replace(options, schema=schema.for_engine if schema else None)
    generation = await engine.generate_on_frames(message, batch, held)
    try:
        told = read_told(generation, schema)
    except AnswerInvalid as exc:
        discarded = replace(generation, log_probabilities=())
        return replace(Answer.missing(batch.watched, question, str(exc)), discarded=(discarded,))
    reading = form.read(batch.chunk, generation, told)
    generation = replace(generation, log_probabilities=())  # of all answers of a long job they would fill the memory
    answer = Answer(batch.watched, question.index, question.form, reading.value, generations=(generation,))
    return replace(answer, left_out=reading.left_out, is_full=reading.is_full)
