"""Output that is no text.

bwrap, user, process: done
"""

import sys

for _ in range(100):
    sys.stdout.buffer.write(bytes(range(256)))
print("\x1b[2J\x1b]0;title\x07")
print("done")
