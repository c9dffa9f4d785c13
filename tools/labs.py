"""Write the notebooks of every lab and check their sources: ``python -m tools.labs [--check]``."""

from __future__ import annotations

import argparse
import sys

from tools import ROOT
from tools.lint import lint
from tools.notebooks import check, generate
from tools.source import SourceError


def main() -> int:
    """Run the command; returns its exit code, 1 if there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tools.labs", description=__doc__.partition(":")[0] + ".")
    parser.add_argument("--check", action="store_true", help="write nothing; report what is out of date")
    try:
        findings = []
        if parser.parse_args().check:
            findings = check(ROOT)
        else:
            for path in generate(ROOT):
                print(f"{'wrote' if path.exists() else 'removed'} {path.relative_to(ROOT)}")
        findings += lint(ROOT)
    except SourceError as error:
        findings = [str(error)]
    for finding in findings:
        print(finding, file=sys.stderr)
    return int(bool(findings))


if __name__ == "__main__":
    raise SystemExit(main())
