"""Read the grader's code.

bwrap: refused
user, process: read
"""

try:
    import course_utils.grading.grade  # noqa: F401

    print("read")
except ImportError:
    print("refused")
