"""60 MiB in pipes, beside a budget of 30.

bwrap, user, process, process by procfs: out_of_memory
budget_mib: 30
"""

import os
import time

pipes = [os.pipe() for _ in range(900)]
for _, end in pipes:
    os.set_blocking(end, False)
    try:
        os.write(end, bytes(65536))
    except BlockingIOError:
        pass
time.sleep(5)
