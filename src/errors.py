"""The error hierarchy, and the one place where an exception becomes an API error.

WorkerError                 INTERNAL
  InputError                INVALID_INPUT
  DownloadError             DOWNLOAD_FAILED
    UrlInvalid              URL_INVALID
    UrlBlocked              URL_BLOCKED
    UrlExpired              URL_EXPIRED
    SourceHttpError         SOURCE_HTTP_ERROR
    DownloadTimeout         DOWNLOAD_TIMEOUT
    DownloadTooLarge        DOWNLOAD_TOO_LARGE
    SourceNotFound          SOURCE_NOT_FOUND
    DiskFull                DISK_FULL
  MediaError                UNREADABLE_VIDEO
    NoVideoStream           NO_VIDEO_STREAM
    EncryptedVideo          ENCRYPTED_VIDEO
    UnsupportedCodec        UNSUPPORTED_CODEC
    VideoTooLong            VIDEO_TOO_LONG
    VideoTooLarge           VIDEO_TOO_LARGE
    NoFrames                NO_FRAMES
    MediaTimeout            MEDIA_TIMEOUT
  SandboxIncomplete         SANDBOX_INCOMPLETE
  PromptTooLong             PROMPT_TOO_LONG
  GenerationFailed          GENERATION_FAILED
  AnswerInvalid             ANSWER_INVALID
  OverBudget                OVER_BUDGET
  AllChunksFailed           ALL_CHUNKS_FAILED
  EngineStartFailed         ENGINE_START_FAILED
  EngineDead                ENGINE_DEAD
  JobTimeout                TIMEOUT

A message is one sentence for the caller of the API, without paths, URLs or secrets.
The README lists every code and what to do about it; a test keeps the two lists equal.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class WorkerError(Exception):
    """A failure whose message the caller may read."""

    code: ClassVar[str] = "INTERNAL"
    refresh_worker: bool = False
    """Whether this worker process should be replaced by a new one."""

    def __str__(self) -> str:
        """The form that the API uses: `CODE: sentence`."""
        return f"{self.code}: {super().__str__()}"


class InputError(WorkerError):
    """A field of the job's input is missing, unknown, or out of range."""

    code = "INVALID_INPUT"


class DownloadError(WorkerError):
    """The source could not be fetched, and no subclass gives a narrower reason."""

    code = "DOWNLOAD_FAILED"


class UrlInvalid(DownloadError):
    """The source is neither a well-formed http(s) URL nor a path below one of VIDEO_ROOTS."""

    code = "URL_INVALID"


class UrlBlocked(DownloadError):
    """The URL leads to a network that the worker must not reach."""

    code = "URL_BLOCKED"


class UrlExpired(DownloadError):
    """The URL was presigned and has expired."""

    code = "URL_EXPIRED"


class SourceHttpError(DownloadError):
    """The source answered with an HTTP status other than success."""

    code = "SOURCE_HTTP_ERROR"


class DownloadTimeout(DownloadError):
    """The source did not deliver the whole file in time."""

    code = "DOWNLOAD_TIMEOUT"


class DownloadTooLarge(DownloadError):
    """The file is larger than the configured limit."""

    code = "DOWNLOAD_TOO_LARGE"


class SourceNotFound(DownloadError):
    """No readable file stands at an allowed local path."""

    code = "SOURCE_NOT_FOUND"


class DiskFull(DownloadError):
    """The worker's disk cannot hold the file."""

    code = "DISK_FULL"
    ERRNOS: ClassVar = frozenset([errno.ENOSPC, errno.EDQUOT])
    """The errno values of an OSError that mean a full disk."""


class MediaError(WorkerError):
    """The file is not a readable video."""

    code = "UNREADABLE_VIDEO"


class NoVideoStream(MediaError):
    """The file is readable but has no video stream."""

    code = "NO_VIDEO_STREAM"


class EncryptedVideo(MediaError):
    """The video is encrypted."""

    code = "ENCRYPTED_VIDEO"


class UnsupportedCodec(MediaError):
    """The file's container or codec is not on the list of supported ones."""

    code = "UNSUPPORTED_CODEC"


class VideoTooLong(MediaError):
    """The video is longer than the configured limit."""

    code = "VIDEO_TOO_LONG"


class VideoTooLarge(MediaError):
    """The video's frames have more pixels than the worker decodes."""

    code = "VIDEO_TOO_LARGE"


class NoFrames(MediaError):
    """No frame of the requested span could be decoded."""

    code = "NO_FRAMES"


class MediaTimeout(MediaError):
    """ffmpeg, ffprobe or the decoder took longer than allowed."""

    code = "MEDIA_TIMEOUT"


class SandboxIncomplete(WorkerError):
    """The machine lacks a layer of the sandbox, and REQUIRE_SANDBOX is set."""

    code = "SANDBOX_INCOMPLETE"


class PromptTooLong(WorkerError):
    """A prompt does not fit the model's context."""

    code = "PROMPT_TOO_LONG"


class GenerationFailed(WorkerError):
    """The engine refused or failed one request and goes on serving others."""

    code = "GENERATION_FAILED"


class AnswerInvalid(WorkerError):
    """What the model wrote is not of the form that was asked for."""

    code = "ANSWER_INVALID"


class OverBudget(WorkerError):
    """No choice of frames keeps the job within the seconds or dollars that it may take."""

    code = "OVER_BUDGET"


class AllChunksFailed(WorkerError):
    """No chunk of the video was answered."""

    code = "ALL_CHUNKS_FAILED"


class EngineStartFailed(WorkerError):
    """The model could not be loaded; the next job tries again."""

    code = "ENGINE_START_FAILED"


class EngineDead(WorkerError):
    """The engine process died; only a new worker process can serve again."""

    code = "ENGINE_DEAD"
    refresh_worker = True
    SENTENCE: ClassVar = "The engine process died; this worker restarts. Send the job again."


class JobTimeout(WorkerError):
    """The job did not finish before its deadline."""

    code = "TIMEOUT"


@contextmanager
def first_of_group() -> Iterator[None]:
    """Raise the first exception of a task group instead of the group, so that callers see the typed error."""
    try:
        yield
    except ExceptionGroup as group:
        failure: Exception = group
        while isinstance(failure, ExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from failure.__cause__


def to_response(exc: Exception) -> dict[str, str | bool]:
    """Return the handler's return value for a failed job.

    `error` is a string because the platform completes a job without output if it is an object (runpod-python issue
    299). The text of any exception other than a WorkerError may contain paths or URLs, so it stays in the log.
    """
    known = exc if isinstance(exc, WorkerError) else WorkerError("Unexpected failure; the worker's log has the cause.")
    body: dict[str, str | bool] = {"error": str(known)}
    if known.refresh_worker:
        body["refresh_worker"] = True
    return body
