"""The tiny model's tokenizer: a fixed vocabulary of bytes, numbers and words, without merges.

A time is one or two tokens: `<12345.6 seconds>` is `<`, `123`, `45.6`, ` seconds>`. With one token per digit, as in
Qwen's own vocabulary, such a small model does not learn to copy times.
"""

import re
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tiny_model.wording import TEXTS

SPLIT = r"\d{1,3}(?=\d{2}\.\d)|\d{1,2}\.\d| seconds>| ?[A-Za-z]+|\n| ?[^\sA-Za-z0-9]|\s|\d"
HUNDREDS_OF_TIME = [f"{number}" for number in range(1, 1000)]
UNITS_OF_TIME = [f"{tenth / 10:.1f}" for tenth in range(100)] + [f"{tenth / 10:04.1f}" for tenth in range(1000)]
"""The rest of a time, down to tenths; below ten seconds both with and without a leading zero."""
SPECIAL_NAMES = """
endoftext im_start im_end object_ref_start object_ref_end box_start box_end quad_start quad_end
vision_start vision_end vision_pad image_pad video_pad
"""
SPECIAL_TOKENS = [f"<|{name}|>" for name in SPECIAL_NAMES.split()]
"""In Qwen's order. Their ids follow those of the text tokens."""


def build_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """Build the tokenizer. Text that is neither a known word nor a known number is split into bytes."""
    letters = byte_letters()
    words = sorted({*words_of(TEXTS), *words_of(word.capitalize() for text in TEXTS for word in text.split())})
    texts = [*HUNDREDS_OF_TIME, *UNITS_OF_TIME, " seconds>", *words]
    pieces = dict.fromkeys(["".join(letters[byte] for byte in text.encode()) for text in texts])
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys([*letters, *pieces]))}
    tokenizer = Tokenizer(models.BPE(vocab, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def words_of(texts: Iterable[str]) -> set[str]:
    """Return every word twice: with a space in front, and without, as at the beginning of a line."""
    bare = {word for text in texts for word in re.findall("[A-Za-z]+", text)}
    return bare | {f" {word}" for word in bare}


def byte_letters() -> list[str]:
    """Return the letter for each byte 0 to 255 in a byte-level vocabulary (GPT-2's table).

    Visible Latin-1 characters stand for themselves; the other bytes take the code points from 256 on.
    """
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(others)) for byte in range(256)]
