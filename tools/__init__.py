"""What only the repository needs: the notebooks of a lab from its source, their lint, their execution, their grades."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the repository."""
