"""Behind FrameExtractor: budgets, and the child processes that open a video.

`scan` and `decode` run libav on files from outside, so they run in a process of their own, which
`confinement` is the program of, and are never imported by the worker.
"""
