"""``python -m course_utils`` is the command ``course-utils``."""

from course_utils.cli import application

application()
