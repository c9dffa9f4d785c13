"""What a learner sees in a notebook: magics, cards, tables. Imports neither TensorFlow nor matplotlib."""

from course_utils.notebook.claims import claims, versions
from course_utils.notebook.compare import compare
from course_utils.notebook.named import run

__all__ = ["claims", "compare", "run", "versions"]
