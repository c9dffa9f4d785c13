"""A higher priority than the owner's.

bwrap, user: refused
"""

import os

done = []
for action in (lambda: os.nice(-10), lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))):
    try:
        done.append(action())
    except OSError:
        pass
print("done" if done else "refused")
