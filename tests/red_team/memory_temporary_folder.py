"""150 MiB in files in /tmp, which lies in memory there.

bwrap, user: out_of_memory
"""

import time

for number in range(15):
    with open(f"/tmp/{number}", "wb", buffering=0) as file:
        file.write(bytes(10 * 2**20))
time.sleep(5)
