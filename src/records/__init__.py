"""Frozen data passed between the stages. Times are seconds of the source video, spans half-open."""

from records.answer import Answer, Conclusion, Question
from records.generation import AnswerSchema, Generation, GenerationOptions, Json, Message, Schema, TokenProbability
from records.job import Estimate, EstimateResult, JobEvent, JobResult, Planned, Price, Stage
from records.plan import Chunk, FrameSelection, PromptRoom, Resolution, SampleGrid, Scope, VideoPlan, Window
from records.video import Edit, LocalVideo, Notice, OtherStream, Part, Timing, VideoInfo
from records.watched import Decoding, FrameBatch, UnseenReason, UnseenSpan, Watched, joined

__all__ = [
    "Answer",
    "AnswerSchema",
    "Chunk",
    "Conclusion",
    "Decoding",
    "Edit",
    "Estimate",
    "EstimateResult",
    "FrameBatch",
    "FrameSelection",
    "Generation",
    "GenerationOptions",
    "JobEvent",
    "JobResult",
    "Json",
    "LocalVideo",
    "Message",
    "Notice",
    "OtherStream",
    "Part",
    "Planned",
    "Price",
    "PromptRoom",
    "Question",
    "Resolution",
    "SampleGrid",
    "Schema",
    "Scope",
    "Stage",
    "Timing",
    "TokenProbability",
    "UnseenReason",
    "UnseenSpan",
    "VideoInfo",
    "VideoPlan",
    "Watched",
    "Window",
    "joined",
]
