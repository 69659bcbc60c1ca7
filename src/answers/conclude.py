"""Makes one answer about the video of the answers about its chunks: by rule where the form can, else by the model."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from answers import synthesis
from answers.ask import read_told
from answers.forms import FORMS
from answers.forms.base import MergedByModel
from answers.synthesis import Merged
from engine.interface import CHAT_FORMAT_TOKENS, Engine, answer_tokens
from errors import AnswerInvalid
from records import Answer, Conclusion, Generation, GenerationOptions, Message, Question

log = logging.getLogger(__name__)


async def conclude(
    load: Callable[[], Awaitable[Engine]], question: Question, answers: Sequence[Answer], options: GenerationOptions
) -> Conclusion:
    """Return the answer to a question about the whole video. A merge whose text is not of the form is made once more.

    Args:
        load: returns the engine; not called if no model is needed.
        question: the one that was asked.
        answers: one for every chunk, in order.
        options: how the model answers.

    Raises:
        PromptTooLong, GenerationFailed, EngineDead, EngineStartFailed: see the engine.
    """
    if not any(answer.is_answered for answer in answers):
        return Conclusion(question.index, error=answers[0].error)
    form = FORMS[question.form]
    united = await asyncio.to_thread(form.united, question, answers)  # ten hours of events take a fifth of a second
    if united or not isinstance(form, MergedByModel):
        return Conclusion(question.index, united.value if united else None)
    engine, schema = await load(), form.merge_schema(question, answers)
    discarded: tuple[Generation, ...] = ()
    held = replace(options, schema=schema.for_engine if schema else None)
    for attempt in (held, held.roomier()):
        merged = await _merge(engine, form, question, answers, attempt)
        try:
            value = form.read_merged(answers, read_told(merged.generations[-1], schema))
        except AnswerInvalid as exc:
            discarded, error = (*discarded, *merged.generations), str(exc)
            log.warning("the merge of question %d failed: %s", question.index, exc)
        else:
            return Conclusion(question.index, value, generations=merged.generations, discarded=discarded)
    return Conclusion(question.index, error=error, discarded=discarded)


async def _merge(
    engine: Engine, form: MergedByModel, question: Question, answers: Sequence[Answer], options: GenerationOptions
) -> Merged:
    empty = form.merge_message(question, [])
    text_tokens = await asyncio.to_thread(engine.count_tokens, f"{empty.system}\n{empty.user}")
    reserve_tokens = CHAT_FORMAT_TOKENS + text_tokens + answer_tokens(engine, options)

    async def generate(message: Message) -> Generation:
        return await engine.generate_on_text(message, options)

    return await synthesis.merge(
        [form.note(answer) for answer in answers],
        lambda notes: form.merge_message(question, notes),
        generate,
        engine.count_tokens,
        notes_budget_tokens=engine.max_model_len - reserve_tokens,
    )
