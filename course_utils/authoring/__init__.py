"""From ``solutions/NN_name.py``, the source of a lab, to its two notebooks; and the lint of both."""

from course_utils.authoring.lint import lint
from course_utils.authoring.notebooks import check, generate
from course_utils.authoring.source import SourceError

__all__ = ["SourceError", "check", "generate", "lint"]
