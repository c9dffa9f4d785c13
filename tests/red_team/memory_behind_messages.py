"""150 MiB behind a flood of long messages that take time to read.

bwrap, user, process, process by procfs: out_of_memory
"""

import json
import threading
import time

from course_utils.sandbox import framing, inside

body = json.dumps({"type": "report", "values": {str(number): [[]] * 3 for number in range(3000)}}).encode()[:60000]


def flood() -> None:
    while True:
        inside.channel.sendall(framing.HEADER.pack(len(body)) + body)


threading.Thread(target=flood, daemon=True).start()
time.sleep(0.2)
held = bytearray(150 * 2**20)
held[::4096] = b"1" * len(held[::4096])
time.sleep(5)
