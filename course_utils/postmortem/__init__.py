"""The post-mortem: from the evidence of a run to what became of it, where, and why.

`conclude` takes a `Measurement`, which the owner made from outside, and a `Testimony`, which is all that the run said,
and makes an `Outcome` of both. Where they disagree, the measurement stands. Nothing here knows a process.
"""

from course_utils.postmortem.conclusion import conclude
from course_utils.postmortem.evidence import Device, End, Frame, Limits, Measurement, Sighting, Stack, Testimony, Where
from course_utils.postmortem.outcome import Outcome

__all__ = [
    "Device",
    "End",
    "Frame",
    "Limits",
    "Measurement",
    "Outcome",
    "Sighting",
    "Stack",
    "Testimony",
    "Where",
    "conclude",
]
