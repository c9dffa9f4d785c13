"""Reach a server on this machine.

bwrap, user: refused
process: done
"""

import socket

try:
    socket.create_connection(("127.0.0.1", PORT), timeout=2)
    print("done")
except OSError:
    print("refused")
