"""150 MiB in one array.

bwrap, user, process, process by procfs: out_of_memory
"""

import time

import numpy as np

held = np.ones(150 * 2**20, np.uint8)
time.sleep(5)
