"""What a learner uses in a notebook: magics, cards, tables. Imports neither TensorFlow nor matplotlib."""

from course_utils.notebook.named import run
from course_utils.notebook.show import claims, compare, predict, versions

__all__ = ["claims", "compare", "predict", "run", "versions"]
