"""Start threads without end.

bwrap, user: died or raised
budget_mib: 600
time_limit: 60
"""

import threading

stop = threading.Event()
while True:
    threading.Thread(target=stop.wait, daemon=True).start()
