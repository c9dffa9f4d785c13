"""150 MiB in the buffers of 600 sockets.

bwrap, user, process, process by procfs: out_of_memory
"""

import socket
import time

pairs = [socket.socketpair() for _ in range(600)]
for pair in pairs:
    for end in pair:
        end.setblocking(False)
        try:
            while True:
                end.send(bytes(32768))
        except BlockingIOError:
            pass
time.sleep(5)
