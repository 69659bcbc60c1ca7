"""The forms that an answer can take, and the table of their names."""

from answers.forms.base import Form
from answers.forms.chapters import Chapters
from answers.forms.free_text import FreeText
from answers.forms.happenings import Events, When
from answers.forms.own_schema import OwnSchema

FORMS: dict[str, Form] = {
    "text": FreeText(),
    "events": Events(),
    "chapters": Chapters(),
    "when": When(),
    "schema": OwnSchema(),
}
"""Every form by the name that stands in `Question.form`."""
