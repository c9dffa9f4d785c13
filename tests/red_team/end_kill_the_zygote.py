"""Kill the process that would tell how it ended.

user, process: died
"""

import os
import signal
import time

os.kill(os.getppid(), signal.SIGKILL)
time.sleep(600)
