"""Write where others read.

bwrap, user: refused
"""

import os
import sysconfig

done = []
for folder in ("/usr", "/etc", "/opt", sysconfig.get_path("purelib"), os.path.dirname(os.__file__), "/var/lib"):
    try:
        with open(f"{folder}/{MARK}", "w"):
            done.append(folder)
    except OSError:
        pass
print("done" if done else "refused")
