"""A message so deep that reading it breaks the reader.

bwrap, user, process: done
"""

from course_utils.sandbox import framing, inside

body = b'{"type": "report", "values": {"a": ' + b"[" * 30_000
inside.channel.sendall(framing.HEADER.pack(len(body)) + body)
print("done")
