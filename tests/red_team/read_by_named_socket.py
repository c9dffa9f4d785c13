"""Reach a program on this machine by the name of its socket.

bwrap, user: refused
process: done
"""

import socket

try:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.connect(f"\0{MARK}")
    print("done")
except OSError:
    print("refused")
