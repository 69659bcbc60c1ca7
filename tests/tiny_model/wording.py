"""The questions for the tiny model in several wordings, and the words of its prompts."""

import re

import numpy as np

from records import Message
from tiny_model.world import COLOURS, NOT_SEEN, SHAPES, Subject

LIST_QUESTIONS = (
    "Describe what happens in this video, and when.",
    "Describe this video.",
    "What happens in this video?",
    "What happens?",
    "What is shown, and when?",
    "What is seen?",
    "List the scenes and the time at which each begins.",
    "Which shapes are shown, and when does each appear?",
    "Tell what the video shows, with times.",
    "Give a timeline of the video.",
    "Name every shape and its colour.",
    "Summarise the video.",
    "Describe the scenes in order.",
    "Which scenes does this part of the video show?",
)
FIND_QUESTIONS = (
    "When is the {} shown?",
    "When does a {} appear?",
    "Is there a {}?",
    "Is a {} seen, and when?",
    "Find the {}.",
    "At what time is a {} seen?",
    "Does the video show a {}?",
    "Where is the {}?",
)
FILLER_WORDS = """
a an the and or of to in on at is are was with from for by not no yes it this that there then first last next before
after while about above below each one two three some all more please answer briefly carefully short long camera user
viewer note now here only very also clip film colour colours shape shapes scene scenes person people car street room
says say give tell look watch see seen shown begins starts ends
"""
INSTRUCTION_WORDS = """
You answer questions about videos say only what can be seen and you so when something is not The frames above are one
part of a longer video time before each pair its position in the whole seconds Use these times happens If this does
show asked for that it Answer images Below notes on successive parts made by viewer who saw at Times from start
Neighbouring overlap little end next may tell same event twice once alone keep their where they do
"""
"""The words of the worker's prompts when the model was trained. Prompts may change without training a new model; new
words are then split into bytes."""
TEXTS = (
    INSTRUCTION_WORDS, "This part shows Question: part", "This part could not be watched.", "[ seconds]",
    "system user assistant", NOT_SEEN, FILLER_WORDS, " ".join(COLOURS), " ".join(SHAPES), *LIST_QUESTIONS,
    *FIND_QUESTIONS,
)  # fmt: skip
"""Every word in these is one token of the model."""


def random_question(generator: np.random.Generator, wanted: Subject | None) -> str:
    """Draw a question about one subject, or about everything that is shown."""
    if wanted:
        return str(generator.choice(FIND_QUESTIONS)).format(wanted)
    return str(generator.choice(LIST_QUESTIONS))


def reworded(generator: np.random.Generator, message: Message) -> Message:
    """Drop words or sentences from the instructions of a message and add others; the question stays the same."""
    instructions, mark, question = message.user.rpartition("\n\nQuestion: ")
    if generator.random() < 0.5:
        instructions = _thinned(generator, instructions)
    if generator.random() < 0.5:
        at = generator.choice([match.end() for match in re.finditer(r"[.\n] ?|$", instructions)])
        instructions = f"{instructions[:at]}{filler(generator)}{instructions[at:]}"
    system = message.system if generator.random() < 0.7 else _thinned(generator, message.system)
    return Message(system, f"{instructions}{mark}{question}")


def filler(generator: np.random.Generator) -> str:
    """Draw a meaningless sentence, sometimes with a word that the tokenizer does not know."""
    words = generator.choice(FILLER_WORDS.split(), generator.integers(2, 12)).tolist()
    if generator.random() < 0.3:
        words.append("".join(generator.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)))
    return " ".join(words).capitalize() + ". "


def _thinned(generator: np.random.Generator, text: str) -> str:
    if generator.random() < 0.5:
        sentences = re.split(r"(?<=\.) ", text)
        return " ".join(sentence for sentence in sentences if generator.random() < 0.6)
    return re.sub(r"[A-Za-z]+ ", lambda word: word[0] if generator.random() < 0.85 else "", text)
