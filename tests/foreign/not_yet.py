"""The inputs that the worker does not read rightly yet, and why. A mend fails the test of its input until it is named
here no more."""

NOT_YET: dict[str, str] = {}
