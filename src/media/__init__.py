"""Behind FrameExtractor: budgets, and the child processes that open a video.

`scan` and `decode` are programs. They run libav on files from outside, so they run in a
process of their own, see media.confinement, and are never imported by the worker.
"""
