"""150 MiB for a moment, while the owner is busy with an answer.

bwrap, user, process, process by procfs: out_of_memory
"""

import threading
import time

from course_utils.sandbox import inside


def hold() -> None:
    time.sleep(0.1)
    held = bytearray(150 * 2**20)
    held[::4096] = b"1" * len(held[::4096])
    time.sleep(0.2)


thread = threading.Thread(target=hold)
thread.start()
inside.exchange({})
thread.join()
