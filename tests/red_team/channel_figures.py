"""Figures without end, none of which is one.

bwrap, user, process: done
"""

from course_utils.sandbox import inside

for _ in range(200):
    inside.send({"type": "figure", "png": "/etc/passwd", "more": True})
    inside.send({"type": "figure", "png": "iVBORw0KGgo=", "more": True})
print("done")
