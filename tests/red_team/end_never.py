"""Go on for ever, deaf to every signal.

bwrap, user, process: timed_out
time_limit: 1.5
"""

import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
