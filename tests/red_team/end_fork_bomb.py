"""Start processes without end.

bwrap, user: died
time_limit: 60
"""

import os

while True:
    try:
        os.fork()
    except OSError:
        pass
