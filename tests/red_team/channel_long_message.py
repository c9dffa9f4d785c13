"""Announce a message of four gigabytes.

bwrap, user, process: died
"""

import time

from course_utils.sandbox import inside

inside.channel.sendall(b"\xff\xff\xff\xff" + b"x" * 1000)
time.sleep(5)
