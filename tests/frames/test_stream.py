"""When decoders fail, a pass gives up as few chunks as it can and stops starting decoders that deliver nothing."""

from frames.stream import RemainingChunks
from records import Chunk

CHUNKS = [Chunk(index, index, index + 1, index + 1) for index in range(4)]


def test_a_failed_decoder_loses_only_the_chunk_that_it_was_working_on():
    remaining = RemainingChunks(CHUNKS)
    remaining.deliver_next()

    assert remaining.give_up() == CHUNKS[1:2]
    assert (remaining.chunks, remaining.has_delivered) == (CHUNKS[2:], True)


def test_a_second_decoder_that_delivers_nothing_loses_the_rest():
    remaining = RemainingChunks(CHUNKS)
    remaining.give_up()

    assert remaining.give_up() == CHUNKS[1:]
    assert (remaining.chunks, remaining.has_delivered) == ([], False)


def test_a_decoder_that_delivered_something_gives_the_next_one_another_chance():
    remaining = RemainingChunks(CHUNKS)
    remaining.give_up()
    remaining.deliver_next()

    assert remaining.give_up() == CHUNKS[2:3]
    assert remaining.chunks == CHUNKS[3:]
