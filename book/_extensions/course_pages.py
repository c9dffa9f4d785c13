"""Fill the pages with facts from the package and the configuration, so that they cannot disagree.

A line such as ``<!-- table: causes -->`` is replaced when Sphinx reads the page, and so are the words
REPOSITORY_ADDRESS and REPOSITORY_NAME.
"""

from __future__ import annotations

import json
import os.path
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from IPython.lib.lexers import IPython3Lexer
from pygments.lexers import Python3Lexer
from pygments.token import Keyword
from sphinx.application import Sphinx

from course_utils import cards, causes, labs, memory, recordings
from course_utils.cards.runs import outcome_card
from course_utils.units import mib, percent, seconds

MARKER = re.compile(r"^<!-- table: (\w+) -->$", re.MULTILINE)
PACKAGE = Path(labs.__file__).parent
MEASURED = Path(__file__).resolve().parents[1] / "measured"
DEPENDS_ON = {
    "causes": ["causes.toml", "labs.toml"],
    "fit_errors": ["../book/measured/fit.json"],
    "labs": ["labs.toml"],
    **{
        f"gpu_{name}": ["../book/measured/gpu.json"]
        for name in ("machine", "driver", "beside", "host", "lab_08", "peaks")
    },
    "measured": [f"../book/measured/{spec.number}.json" for spec in labs.specs()],
    "methods": ["memory/cgroup.py", "memory/procfs.py", "memory/gpu.py"],
    "recorded_death": ["../book/measured/train.jsonl"],
}

KINDS = {
    "host_ram": "The machine's RAM",
    "gpu_memory": "The GPU's memory",
    "graph_limit": "The 2 GB limit of a graph",
    "disk_full": "The disk",
    "not_memory": "Not memory at all",
    "unknown": "Not known yet",
}

COLUMNS = """<div class="course-columns">

{}

</div>
"""


def causes_table(page: str, address: str) -> str:
    """Every crash cause, sorted by kind: first a list of them all, then one section each."""
    contents, sections = [], []
    for kind, heading in KINDS.items():
        # The entry for a text without a crash is not one to look up.
        found = [cause for cause in causes.explanations() if cause.kind == kind and cause.cause != "unknown"]
        if found:
            links = "\n".join(f"- [{cause.title}](#{_cause_label(cause)})" for cause in found)
            contents.append(f"**{heading}**\n\n{COLUMNS.format(links)}\n")
            sections.append(f"## {heading}\n")
            sections += [_cause_section(cause, page) for cause in found]
    return "\n".join(contents + sections)


def _cause_section(cause: causes.Explanation, page: str) -> str:
    # A label, because the anchor of a heading changes with the title.
    lines = [f"({_cause_label(cause)})=\n### {cause.title}\n"]
    if seen := causes.seen(cause.cause):
        lines.append(f"**You see.** {' or '.join(map(_code, seen))}\n")
    lines += [f"{cause.why}\n", f"**What to do.** {cause.fix}\n"]
    written = {spec.number: spec for spec in labs.specs()}
    if cause.lab in written:
        lines.append(f"**Try it.** {_lab_link(written[cause.lab], page)}\n")
    return "\n".join(lines)


def _cause_label(cause: causes.Explanation) -> str:
    return f"cause-{cause.cause.replace('_', '-')}"


def _code(text: str) -> str:
    """Return text as inline code, in a fence longer than any run of backticks in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def labs_table(page: str, address: str) -> str:
    """Every lab with its minutes and its budget."""
    return "\n".join(
        f"- {_lab_link(spec, page)} ({spec.minutes} minutes, {mib(spec.budget_mib)}). {spec.takeaway}"
        for spec in labs.specs()
    )


def _lab_link(spec: labs.LabSpec, page: str) -> str:
    target = os.path.relpath(f"labs/{spec.name}.ipynb", os.path.dirname(page))
    return f"[Lab {spec.number}: {spec.title}]({target})"


def methods_table(page: str, address: str) -> str:
    """Every way to read memory, and what it cannot see."""
    return "\n".join(
        f"{name}\n: Counts {meter.counts}. Looks every {meter.interval * 1000:g} ms. Cannot see {meter.cannot_see}.\n"
        for name, meter in {**memory.METHODS, "NVML, for a GPU": memory.GpuMeter}.items()
    )


def measured_table(page: str, address: str) -> str:
    """The figures of each lab from `python -m benchmarks.labs`."""
    sections = []
    for spec in labs.specs():
        path = MEASURED / f"{spec.number}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text("utf-8"))
        crash, versions = found["crash"], found["versions"]
        room = (found["accuracy_mean"] - found["floor"]) / max(found["accuracy_deviation"], 1e-9)
        wrong = "\n".join(
            f"  - {one['name'].replace('_', ' ')}: `{one['verdict']}`, {one['score']:.0f} points"
            for one in found["wrong_answers"]
        )
        sections.append(
            f"## {_lab_link(spec, page)}\n\n"
            f"- **Crash**, at a budget of {mib(crash['budget_mib'])}: `{crash['status']}` in `{crash['where']}`\n"
            f"- **Solution**, five seeds: peak at most {mib(found['peak_mib'])} of {mib(found['budget_mib'])} "
            f"({percent(found['peak_mib'] / found['budget_mib'], 0)}); mean accuracy "
            f"{percent(found['accuracy_mean'])}, which is {room:.0f} standard deviations "
            f"({percent(found['accuracy_deviation'])} each) above the floor of {percent(found['floor'], 0)}; "
            f"at most {seconds(found['seconds'])} of {seconds(found['time_limit'])}\n"
            f"- **Untouched starter**: `{found['starter']}`\n"
            f"- **Typical wrong answers**\n{wrong}\n"
            f"- Measured on {found['measured_on']} by {found['method']}, Python {versions['python']}, "
            f"TensorFlow {versions['tensorflow']}\n"
        )
    return "\n".join(sections)


def _gpu() -> dict[str, Any]:
    """What was seen on a GPU, once: a record, which no command repeats on a machine without one."""
    return json.loads((MEASURED / "gpu.json").read_text("utf-8"))


def gpu_machine(page: str, address: str) -> str:
    """The machine and the versions of everything on the page, in a sentence."""
    found = _gpu()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"One {found['device']} with {mib(found['device_mib'])}, driver {found['driver_version']}, "
        f"{found['processors']} processors, {versions}. Measured on {found['measured_on']}, at commit "
        f"`{found['commit']}`."
    )


def gpu_amounts(name: str) -> Callable[[str, str], str]:
    """A table of amounts of memory."""

    def table(page: str, address: str) -> str:
        rows = "\n".join(f"| {row['what']} | {row['amount']} |" for row in _gpu()[name])
        return f"| What | Memory |\n|---|---:|\n{rows}"

    return table


def gpu_peaks(page: str, address: str) -> str:
    """The peak of a training step for each model, type and batch."""
    lines = []
    for found in sorted(_gpu()["training_peaks"], key=lambda found: (found["parameters"], found["policy"])):
        shape = " x ".join(map(str, found["shape"]))
        peaks = " | ".join(f"{peak:,.0f}" for _, peak, _, _ in found["rows"])
        lines.append(f"| {found['model']} | {shape} | {found['parameters']:,} | `{found['policy']}` | {peaks} |")
    batches = [batch for batch, *_ in _gpu()["training_peaks"][0]["rows"]]
    header = "".join(f" batch {batch} |" for batch in batches)
    return f"| Model | Input | Parameters | Policy |{header}\n|---|---|---:|---|{'---:|' * len(batches)}\n" + "\n".join(
        lines
    )


def fit_errors(page: str, address: str) -> str:
    """How far the predictions were from the largest measured peak, on models that no constant was chosen on."""
    found = json.loads((MEASURED / "fit.json").read_text("utf-8"))
    new = [row for row in found["rows"] if "peaks_mib" in row and row["model"] not in found["fitted_on"]]
    lines = []
    for method in ("probe", "traced", "layers"):
        pairs = [(row[method], max(row["peaks_mib"])) for row in new if method in row]
        if pairs:
            errors = [abs(predicted / peak - 1) for (predicted, *_), peak in pairs]
            inside = sum(low <= peak <= high for (_, low, high), peak in pairs)
            figures = f"{percent(statistics.median(errors), 0)} | {percent(max(errors), 0)}"
            lines.append(f"| {method} | {len(pairs)} | {figures} | {inside} of {len(pairs)} |")
    header = "| Method | Cases | Median error | Largest error | Peak within the range |\n|---|---:|---:|---:|---|"
    return "\n".join([header, *lines])


def ways_in_table(page: str, address: str) -> str:
    """Links that open the repository on borrowed machines."""
    slug = address.removeprefix("https://github.com/")
    return f"""- [Open in Codespaces](https://codespaces.new/{slug}): an editor and a terminal in the browser.
- [Open in Binder](https://mybinder.org/v2/gh/{slug}/HEAD?labpath=labs): a notebook server without an
  account. It is slow to start, has about 2 GB of RAM and forgets your files.
"""


def recorded_death(page: str, address: str) -> str:
    """The card of a run that was recorded."""
    outcome = recordings.read(MEASURED / "train.jsonl").outcome()
    return f"```{{raw}} html\n{cards.html(outcome_card(outcome))}\n```"


TABLES = {
    "causes": causes_table,
    "gpu_machine": gpu_machine,
    "gpu_peaks": gpu_peaks,
    **{f"gpu_{name}": gpu_amounts(name) for name in ("driver", "beside", "host", "lab_08")},
    "fit_errors": fit_errors,
    "labs": labs_table,
    "measured": measured_table,
    "recorded_death": recorded_death,
    "methods": methods_table,
    "ways_in": ways_in_table,
}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Fill in a page, and make Sphinx read it again when the source of its facts changes."""
    if not page.startswith("book/"):
        return
    address = app.config.html_theme_options["repository_url"].rstrip("/")

    def table(match: re.Match[str]) -> str:
        for name in DEPENDS_ON.get(match[1], []):
            app.env.note_dependency(str(PACKAGE / name))
        return TABLES[match[1]](page, address)

    text = MARKER.sub(table, source[0])
    source[0] = text.replace("REPOSITORY_ADDRESS", address).replace("REPOSITORY_NAME", address.rpartition("/")[2])


class CourseLexer(IPython3Lexer):
    """Highlights a cell that starts with one of the course's magics like any other Python code."""

    def get_tokens_unprocessed(self, text: str, *arguments: object) -> Iterator[tuple]:
        """Yield (position, token, text) for a whole cell."""
        magic = re.match(r"%%(sandbox|graded)\b.*\n?", text)
        if not magic:
            yield from super().get_tokens_unprocessed(text, *arguments)
            return
        yield 0, Keyword, magic[0]
        for position, token, value in Python3Lexer().get_tokens_unprocessed(text[magic.end() :]):
            yield magic.end() + position, token, value


def leave_out_thebe(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Leave out scripts that Jupyter Book adds but this book does not use; they fail when they are loaded twice."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in f"{script.filename}{script.attributes.get('body')}".lower()
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", fill)
    app.add_lexer("ipython3", CourseLexer)
    app.connect("html-page-context", leave_out_thebe)
    return {"parallel_read_safe": True}
