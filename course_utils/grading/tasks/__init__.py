"""The kinds of task: one file each, with what runs inside the sandbox, how it is graded, and how it is judged."""

from __future__ import annotations

from course_utils.grading.tasks.compress import Compress
from course_utils.grading.tasks.pipeline import Pipeline
from course_utils.grading.tasks.search import Search
from course_utils.grading.tasks.train import Train

# By the function that a lab asks for.
KINDS: dict[str, type[Train]] = {"train": Train, "make_dataset": Pipeline, "search": Search, "compress": Compress}
