"""Read the handwriting that the hidden images are drawn from.

bwrap: refused
user, process: read
"""

try:
    from sklearn.datasets import load_digits

    print("read" if len(load_digits().data) == 1797 else "refused")
except Exception:
    print("refused")
