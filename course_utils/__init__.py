"""Out of memory: a crash course in training Keras models. The package behind the labs, the grader and the site."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def load_ipython_extension(shell: Any) -> None:
    """Register the course's magics; called by ``%load_ext course_utils``. Imports no TensorFlow."""
    from course_utils.notebook import magics

    magics.register(shell)
