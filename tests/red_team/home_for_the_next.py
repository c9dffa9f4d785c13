"""Leave code in the home folder that the next run would execute.

bwrap, user: refused
"""

import os
import site
import sys

folder = site.getusersitepackages()
os.makedirs(folder)
with open(f"{folder}/usercustomize.py", "w") as file:
    file.write("raise SystemExit")
print("done" if "usercustomize" in sys.modules or site.ENABLE_USER_SITE else "refused")
