"""Tools for this repository only: make, check, execute, and grade the notebooks of the labs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the repository."""
