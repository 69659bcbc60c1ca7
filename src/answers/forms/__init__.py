"""The forms that an answer can take, one a file, and the table of their names."""

from answers.forms.base import Form
from answers.forms.free_text import FreeText

FORMS: dict[str, Form] = {"text": FreeText()}
"""Every form by the name that stands in `Question.form`."""
