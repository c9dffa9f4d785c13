"""Say that it has finished, and go on with 150 MiB.

bwrap, user, process: finished or died or out_of_memory
"""

import time

from course_utils.sandbox import inside

inside.send({"type": "end", "status": "finished"})
held = bytearray(150 * 2**20)
held[::4096] = b"1" * len(held[::4096])
time.sleep(600)
