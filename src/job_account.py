"""What a job has found out so far, folded from its events."""

from errors import AllChunksFailed
from records import Answer, Conclusion, JobResult, Planned, Price, Question, Stage, Watched
from stopwatch import Stopwatch


class JobAccount:
    """Takes note of the events of one job.

    Args:
        planned: of the job.
    """

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self.questions = planned.questions
        self._watched: dict[int, Watched] = {}
        self._answers: dict[tuple[int, int], Answer] = {}
        """By chunk and question."""
        self._conclusions: list[Conclusion] = []

    def add(self, event: Watched | Answer | Conclusion) -> None:
        """Take note of an event."""
        match event:
            case Watched():
                self._watched[event.chunk.index] = event
            case Answer():
                self._answers[event.chunk.index, event.question] = event
            case Conclusion():
                self._conclusions.append(event)

    @property
    def answers(self) -> list[Answer]:
        """The answers so far, in the order of the chunks, and then of the questions."""
        return [self._answers[place] for place in sorted(self._answers)]

    def answers_to(self, question: Question) -> list[Answer]:
        """Return the answers to one question so far, in the order of the chunks."""
        return [answer for answer in self.answers if answer.question == question.index]

    @property
    def watched(self) -> list[Watched]:
        """Every chunk of the plan; nothing was seen of those that were not decoded."""
        plan = self.planned.plan
        return [self._watched.get(chunk.index) or Watched(chunk, plan.grid) for chunk in plan.chunks]

    def missing_answers(self, error: str) -> list[Answer]:
        """Return an answer without a value for every chunk and question that have none yet."""
        return [
            Answer.missing(watched, question, error)
            for watched in self.watched
            for question in self.questions
            if (watched.chunk.index, question.index) not in self._answers
        ]

    def raise_if_nothing_was_answered(self) -> None:
        """Fail the job if no chunk was answered.

        Raises:
            AllChunksFailed: with the first chunk's error.
        """
        answers = self.answers
        if not any(answer.is_answered for answer in answers):
            chunks = len(self.planned.plan.chunks)
            raise AllChunksFailed(f"None of {chunks} chunks was answered. The first one failed with {answers[0].error}")

    def result(self, watch: Stopwatch[Stage], price: Price, *, is_list: bool) -> JobResult:
        """Return the job's result."""
        return JobResult(
            *(self.planned.info, self.planned.plan, self.questions),
            *(tuple(self.watched), tuple(self.answers), tuple(self._conclusions)),
            timings_s=watch.laps_s,
            total_s=watch.total_s,
            price=price,
            is_list=is_list,
        )
