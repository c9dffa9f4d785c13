"""From the evidence of a death by memory to its cause. A rule is one function, and each is in one place.

A rule looks at a `Case` and returns the `Finding` that it can prove, or None: a cause, the MiB that this cause
explains, and a sentence that names the learner's own variables and shapes and does the arithmetic. The finding that
explains the most wins. Where it explains less than half of the memory, the answer is that the cause is not known, and
who grew. Adding a rule is a function in the module of its kind, its name in that module's ``RULES``, its sentence in
``sentences.jinja``, the meaning and the remedy of its cause in ``causes.toml``, and its test.
"""

from __future__ import annotations

from course_utils.postmortem.rules.judge import judge

__all__ = ["judge"]
