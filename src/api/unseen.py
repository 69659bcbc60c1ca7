"""What a job did not see of what it was to look at."""

from collections.abc import Sequence

from records import Answer, JobResult, UnseenReason, UnseenSpan, VideoInfo, VideoPlan, joined


def unseen_spans(answers: Sequence[Answer], info: VideoInfo, plan: VideoPlan) -> tuple[UnseenSpan, ...]:
    """Return what was not seen of what was asked for of a video, in the order of time.

    The last span is empty if its end is not known.
    """
    spans = [span for answer in answers for span in _unseen_in(answer)]
    if plan.wanted_end_s > info.end_s and (info.truncated or info.missing_s):
        spans.append(UnseenSpan(info.end_s, info.end_s + _missing_s(info, plan), UnseenReason.TRUNCATED))
    return joined(spans)


def covered_share(unseen: Sequence[UnseenSpan], duration_s: float) -> float:
    """Return the fraction of a video, 0 to 1, that is in no span; 1 only if there is none with a length."""
    unseen_s = sum(span.end_s - span.start_s for span in unseen)
    return 1.0 if unseen_s <= 0 else min(0.9999, max(0.0, round(1 - unseen_s / duration_s, 4)))


def looked_at_s(result: JobResult) -> float:
    """Return how long the part is that was to be looked at, the missing end of a file included."""
    return result.plan.window.duration_s + _missing_s(result.info, result.plan)


def _missing_s(info: VideoInfo, plan: VideoPlan) -> float:
    """How much of what was asked for is in the missing end of a file, as far as the container tells."""
    return max(0.0, min(info.missing_s, plan.wanted_end_s - info.end_s))


def _unseen_in(answer: Answer) -> Sequence[UnseenSpan]:
    """What an answer does not speak of in its chunk."""
    if answer.is_answered:
        return answer.watched.unseen
    failed = answer.watched.fault or (answer.watched.decode_s and not answer.watched.num_frames)
    reason = UnseenReason.NOT_DECODED if failed else UnseenReason.NOT_ANSWERED
    return [UnseenSpan(answer.chunk.start_s, answer.chunk.end_s, reason)]
