"""Leave at once, so that nothing after it runs.

bwrap, user, process: died
"""

import os

os._exit(0)
