"""150 MiB in a memfd that is on its way through a socket, so that nobody has it open.

bwrap, user, process: out_of_memory
bwrap by procfs, user by procfs, process by procfs: unseen or out_of_memory
holds_mib: 100
"""

import array
import os
import socket
import time

here, there = socket.socketpair()
file = os.memfd_create("nothing")
for _ in range(150):
    here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
    os.write(file, bytes(2**20))
    os.close(file)
    file = array.array("i", there.recvmsg(1, socket.CMSG_SPACE(4))[1][0][2])[0]
here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
os.close(file)
time.sleep(5)
