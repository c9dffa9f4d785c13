"""The magics in a real kernel, with real sandboxes: what a learner sees under a cell."""

from __future__ import annotations

import html
import json
import os
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from course_utils import labs
from course_utils.cards.runs import RESULTS
from course_utils.grading.grade import grade_answer
from course_utils.grading.submission import read

CRASH = """%%sandbox --budget 120 --predict 60 --into crash --label "the <b>big</b> one"
import time; import numpy as np

def load(count):
    return np.ones((count, 1000, 1000)) * 1.0

small = load(5); time.sleep(0.3)
large = load(100)
"""

# No TensorFlow at work: two runs of it need the same memory, also on a busy machine.
QUICK_ANSWER = """import numpy as np

def train(folder):
    return np.ones(100 * 2**20, np.uint8)

def predict(model, paths):
    return [0] * len(paths)
"""


class Notebook:
    """A running kernel; `run` gives what stands under the cell afterwards, and `live` follows it message by message."""

    def __init__(self, folder: Path) -> None:
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
        self.folder = folder
        self.manager = KernelManager()
        environment = {**os.environ, "COURSE_UTILS_PROGRESS": str(folder / "progress")}
        environment.pop("COURSE_UTILS_SITE", None)
        self.manager.start_kernel(env=environment, cwd=str(folder))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def live(self, code: str, **metadata: object) -> Iterator[dict]:
        """Each message about this cell as it comes, until the cell is done; the last is the reply."""
        # An error makes the kernel refuse what arrives in the moment after it: that is not what is tested here.
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": False}
        request = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(request)
        asked = request["header"]["msg_id"]
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
            yield message
        # A kernel that was slow to start may have been asked more than once whether it is ready, and answers each time.
        while (reply := self.client.get_shell_msg(timeout=120))["parent_header"].get("msg_id") != asked:
            pass
        yield reply

    def run(self, code: str, **metadata: object) -> Cell:
        return Cell(list(self.live(code, **metadata)))

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)


class Cell:
    """What stands under a cell: displays in order (updated ones as they ended), printed text, the reply's status."""

    def __init__(self, messages: list[dict]) -> None:
        self.status = messages[-1]["content"]["status"]
        self.displays: list[dict] = []
        self.updates = 0
        self.streams = {"stdout": "", "stderr": ""}
        places: dict[str, int] = {}
        for message in messages[:-1]:
            content = message["content"]
            if message["msg_type"] == "stream":
                self.streams[content["name"]] += content["text"]
            elif message["msg_type"] == "display_data":
                if name := content.get("transient", {}).get("display_id"):
                    places[name] = len(self.displays)
                self.displays.append(content["data"])
            elif message["msg_type"] == "update_display_data":
                self.updates += 1
                self.displays[places[content["transient"]["display_id"]]] = content["data"]

    @property
    def text(self) -> str:
        return self.displays[0]["text/plain"]

    @property
    def html(self) -> str:
        return self.displays[0]["text/html"]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path_factory.mktemp("notebook"))
    assert notebook.run("%load_ext course_utils").status == "ok"
    yield notebook
    notebook.stop()


def test_loading_imports_neither_tensorflow_nor_matplotlib(tmp_path: Path) -> None:
    fresh = Notebook(tmp_path)
    question = "import sys; print(sorted({'tensorflow', 'keras', 'matplotlib.pyplot', 'sklearn'} & set(sys.modules)))"
    try:
        assert fresh.run(f"%load_ext course_utils\n{question}").streams["stdout"] == "[]\n"
    finally:
        fresh.stop()


def test_kernel_survives_a_crash_and_the_card_names_the_line(notebook: Notebook) -> None:
    notebook.run("mine = 'still here'")
    cell = notebook.run(CRASH)
    assert cell.status == "ok"
    head = cell.text.splitlines()[:3]
    assert head[0].startswith("✕ OUT OF MEMORY")
    assert "120 MiB" in head[1]
    # The number is the one that the learner's editor shows, where the magic is line 1.
    assert head[2].strip() == "line 5 in load:  return np.ones((count, 1000, 1000)) * 1.0"
    for piece in ("Peak:", "Memory: ", "You predicted 60 MiB", "small", "Counted above a baseline of", "isolation"):
        assert piece in cell.text
    after = notebook.run("print(mine, crash.status, crash.where.line)")
    assert after.streams["stdout"] == "still here out_of_memory 5\n"


def test_line_numbers_count_blank_lines_above_the_magic(notebook: Notebook) -> None:
    cell = notebook.run("\n\n%%sandbox --budget 120\n\nx = 1\nraise ValueError('here')\n")
    assert "line 6:  raise ValueError('here')" in cell.text


def test_card_shows_the_learners_text_as_text(notebook: Notebook) -> None:
    cell = notebook.run(CRASH)
    assert "<b>big</b>" not in cell.html and "&lt;b&gt;big&lt;/b&gt;" in cell.html
    cell = notebook.run("%%sandbox --budget 120\nraise ValueError('<script>alert(1)</script> \\x1b[31m red \\x00')")
    for kind, content in cell.displays[0].items():
        assert "<script" not in content or kind == "text/plain"
        assert "\x1b" not in content and "\x00" not in content


def test_curve_has_a_text_alternative_and_stands_alone(notebook: Notebook) -> None:
    cell = notebook.run(CRASH)
    picture = xml.fromstring(cell.displays[0]["image/svg+xml"])
    assert picture.get("role") == "img"
    for words in ("peaks at", "the budget is 120 MiB", "killed"):
        assert words in picture.get("aria-label")
    assert picture.get("aria-label") in html.unescape(cell.html)
    texts = " ".join("".join(element.itertext()) for element in picture.iter("{http://www.w3.org/2000/svg}text"))
    assert "budget 120 MiB" in texts and "killed after" in texts and "you predicted 60 MiB" in texts


def test_output_streams_while_the_cell_runs(notebook: Notebook, tmp_path: Path) -> None:
    signal = tmp_path / "seen"
    code = f"""%%sandbox --budget 120
import os, sys, time
print("first")
while not os.path.exists({str(signal)!r}):
    time.sleep(0.05)
print("a warning", file=sys.stderr)
print("last")
"""
    messages = []
    for message in notebook.live(code):
        messages.append(message)
        if message["msg_type"] == "stream" and "first" in message["content"]["text"]:
            signal.touch()  # the cell ends only because this text arrived before its end
    cell = Cell(messages)
    assert cell.streams["stdout"] == "first\nlast\n"
    assert cell.streams["stderr"] == "a warning\n"
    assert cell.updates >= 1
    assert len(cell.displays) == 1 and "FINISHED" in cell.text


@pytest.mark.parametrize("options", ["", " --gpu-budget 64"])
def test_while_a_run_with_a_gpu_budget_goes_on_its_line_says_why_it_may_stand_still(
    notebook: Notebook, options: str
) -> None:
    said = []
    for message in notebook.live(f"%%sandbox --budget 128{options}\nimport time\ntime.sleep(1.5)"):
        if message["msg_type"] == "update_display_data":
            said.append(message["content"]["data"]["text/plain"])
    *while_running, card = said
    waits = "TensorFlow tries a refused allocation on a GPU again for 10 s"
    assert while_running and all((waits in text) == bool(options) for text in while_running)
    assert "FINISHED" in card and waits not in card


def test_of_a_very_long_output_the_beginning_and_the_end_are_shown(notebook: Notebook) -> None:
    cell = notebook.run("%%sandbox --budget 120\nfor number in range(100_000):\n    print(f'line {number}')\n")
    output = cell.streams["stdout"]
    assert output.startswith("line 0\nline 1\n") and output.endswith("line 99998\nline 99999\n")
    assert "characters left out" in output and len(output) < 200_000
    assert "FINISHED" in cell.text


def test_an_interrupt_stops_the_run_and_the_next_one_works(notebook: Notebook) -> None:
    code = "%%sandbox --budget 120\nprint('ready', flush=True)\nwhile True:\n    pass\n"
    messages = []
    for message in notebook.live(code):
        messages.append(message)
        if message["msg_type"] == "stream" and "ready" in message["content"]["text"]:
            notebook.manager.interrupt_kernel()
    cell = Cell(messages)
    assert cell.status == "error"  # so that cells that were queued after it do not run
    assert cell.text.startswith("■ INTERRUPTED")
    errors = [message["content"] for message in messages if message["msg_type"] == "error"]
    assert [len(error["traceback"]) for error in errors] == [1]
    assert "FINISHED" in notebook.run("%%sandbox --budget 120\nprint(1)").text


def test_figures_are_displayed_after_the_card(notebook: Notebook) -> None:
    cell = notebook.run("%%sandbox --budget 300\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()\n")
    assert len(cell.displays) == 2
    assert cell.displays[1]["image/png"].startswith("iVBOR")
    assert "FINISHED" in cell.text


PICTURES = """%%sandbox --budget 300 --name pictures
import matplotlib.pyplot as plt
import numpy as np
from course_utils.sandbox.inside import report

order = ["pictures"]
kept = np.ones(80 * 2**20, np.uint8)
print("eighty MiB of pictures")
plt.plot([1, 3, 2])
plt.show()
report(pictures=7)

def mean(scans):
    return int(scans.mean()) // len(order[9:])
"""


def test_a_cell_runs_after_named_ones_in_order_and_each_once(notebook: Notebook) -> None:
    first = notebook.run(PICTURES)
    assert "eighty MiB" in first.streams["stdout"] and len(first.displays) == 2 and "Pictures: 7" in first.text
    model = notebook.run("%%sandbox --budget 300 --into model --after pictures\norder.append('model')\nprint(order)\n")
    assert model.streams["stdout"] == "['pictures', 'model']\n"
    notebook.run("%%sandbox --budget 300 --name extra --after pictures\norder.append('extra')\n")
    # model and extra both run after pictures, which is not named here.
    last = notebook.run("%%sandbox --budget 300 --into last --after model, extra\nprint(order)\n")
    assert last.streams["stdout"] == "['pictures', 'model', 'extra']\n"
    assert len(last.displays) == 1 and "Pictures: 7" not in last.text
    assert "Ran before it: The cells `pictures`, `model` and `extra`, in this order." in last.text
    assert "<code>pictures</code>" in last.html
    measured = notebook.run("print(last.peak_mib > 80, last.values, last.figures)").streams["stdout"]
    assert measured == "True {} []\n"


def test_a_text_runs_after_named_cells_as_a_cell_does(notebook: Notebook) -> None:
    notebook.run("%%sandbox --budget 120 --name factor\nfactor = 6\n")
    notebook.run("from course_utils import notebook")
    notebook.run("product = notebook.run('print(7 * factor)', after='factor', budget_mib=120)")
    assert notebook.run("print(product.stdout)").streams["stdout"] == "42\n\n"


def test_a_post_mortem_names_the_earlier_cell_and_its_line(notebook: Notebook) -> None:
    notebook.run(PICTURES)
    within = notebook.run("%%sandbox --budget 300 --into dead --after pictures\n\nmean(kept)\n")
    place, _, source = within.text.splitlines()[2].strip().partition(":  ")
    assert (place, source) == ("cell pictures, line 14 in mean", "return int(scans.mean()) // len(order[9:])")
    assert notebook.run("print(dead.where.cell, dead.where.line)").streams["stdout"] == "cell pictures 14\n"
    here = notebook.run("%%sandbox --budget 300 --after pictures\n\nlarge = np.ones((400, 2**20))\n")
    assert here.text.splitlines()[2].strip() == "line 3:  large = np.ones((400, 2**20))"
    assert "`kept`" in here.text


def test_an_edited_named_cell_counts_as_it_was_last_run_also_one_that_died(notebook: Notebook) -> None:
    notebook.run("%%sandbox --budget 120 --name edited\nanswer = 1\n")
    died = notebook.run("%%sandbox --budget 120 --name edited\nanswer = 2\nraise ValueError('not yet')\n")
    assert "STOPPED BY AN ERROR" in died.text
    after_it = notebook.run("%%sandbox --budget 120 --after edited\nprint(answer)\n")
    assert "cell edited, line 3:  raise ValueError('not yet')" in after_it.text
    assert after_it.streams["stdout"] == ""
    notebook.run("%%sandbox --budget 120 --name edited\nanswer = 3\n")
    assert notebook.run("%%sandbox --budget 120 --after edited\nprint(answer)\n").streams["stdout"] == "3\n"


def test_a_cell_that_only_defines_things_gets_one_line(notebook: Notebook) -> None:
    options = "--name helpers --label 'the helpers'"
    definition = notebook.run(f"%%sandbox --budget 120 {options}\ndef helper():\n    return 1\n")
    (line,) = definition.text.splitlines()
    assert line.startswith("✓ FINISHED: ")
    assert "the helpers. Later cells can run after it with `--after helpers`." in line
    assert list(definition.displays[0]) == ["text/html", "text/plain"]
    second = notebook.run("%%sandbox --budget 120 --name second --after helpers\nx = 1\n")
    assert "Ran after `helpers`. Later cells" in second.text and len(second.text.splitlines()) == 1
    full = {
        "--name big": "x = b'x' * 9 * 2**20",
        "--name guess --predict 3": "x = 1",
        "--into kept": "x = 1",
        "": "x = 1",
    }
    for options, code in full.items():
        assert "Peak: " in notebook.run(f"%%sandbox --budget 120 {options}\n{code}\n").text


def test_a_notebook_that_was_restarted_names_the_cells_to_run(notebook: Notebook) -> None:
    cell = notebook.run("%%sandbox --budget 120 --name third --after never_run,nor_this\nx = 1\n")
    assert cell.status == "error" and cell.displays == []
    assert "Not run yet in this session: never_run, nor_this." in cell.streams["stderr"]
    assert "`--name never_run`" in cell.streams["stderr"]
    # A cell that could not run is not known either.
    again = notebook.run("%%sandbox --budget 120 --after third\nx = 1")
    assert "Not run yet in this session: third." in again.streams["stderr"]


def test_cells_that_run_after_each_other_are_refused(notebook: Notebook) -> None:
    notebook.run("%%sandbox --budget 120 --name one\nx = 1\n")
    notebook.run("%%sandbox --budget 120 --name two --after one\nx = 2\n")
    cell = notebook.run("%%sandbox --budget 120 --name one --after two\nx = 3\n")
    assert cell.status == "error" and "(one after two after one)" in cell.streams["stderr"]
    itself = notebook.run("%%sandbox --budget 120 --name one --after one\nx = 3\n")
    assert itself.status == "error" and "(one after one)" in itself.streams["stderr"]
    assert notebook.run("%%sandbox --budget 120 --after two\nprint(x)\n").streams["stdout"] == "2\n"


def test_a_budget_has_any_unit(notebook: Notebook) -> None:
    assert "of 512 MiB" in notebook.run("%%sandbox --budget 0.5GiB\nx = 1\n").text


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("%%sandbox\nx = 1", "--budget"),
        ("%%sandbox --budget lots\nx = 1", "'lots' is not an amount of memory"),
        ("%%sandbox --budget -5\nx = 1", "'-5' is not an amount of memory"),
        ("%%sandbox --budget 0\nx = 1", "'0' is not an amount of memory"),
        ("%%sandbox --budget 100 --time-limit never\nx = 1", "--time-limit: invalid seconds value: 'never'"),
        ("%%sandbox --budget 100 --time-limit 0\nx = 1", "--time-limit: invalid seconds value: '0'"),
        ("%%sandbox --budget 100 --into 2nd\nx = 1", "'2nd' is not a name for a variable"),
        ("%%sandbox --budget 100 --colour red\nx = 1", "--colour"),
        ("%%sandbox --budget 100 --label 'open\nx = 1", "%%sandbox --budget 256"),
        ("%%graded 99\nx = 1", "no lab '99'"),
        ("%%graded\nx = 1", "no lab ''"),
        ("%course", "progress, submit 01"),
        ("%course hint", "hint 01, progress"),
        ("%course hint 77", "no lab '77'"),
        ("%course submit 01", "No %%graded 01 cell has run"),
    ],
)
def test_a_mistake_in_a_magic_is_one_sentence(notebook: Notebook, code: str, sentence: str) -> None:
    cell = notebook.run(code)
    assert cell.status == "error"
    said = cell.streams["stderr"]
    assert sentence in said and len(said.strip().splitlines()) == 1
    assert cell.displays == []


def test_an_exception_or_a_pasted_text_is_explained_and_the_machine_is_described(notebook: Notebook) -> None:
    notebook.run("import numpy as np\nlarge = np.ones((10**7, 10**6))")
    assert "as float64" in notebook.run("%course explain").text.casefold()
    pasted = notebook.run("%%course explain\nYour session crashed after using all available RAM.\n")
    assert "all available ram" in pasted.text.casefold() and "What to do: " in pasted.text
    described = notebook.run("%course doctor").streams["stdout"]
    assert "of swap" in described and "Limit of the container: " in described and "GPU memory is " in described


def test_stored_notebook_keeps_the_card_and_no_status_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_UTILS_PROGRESS", str(tmp_path))
    sources = [
        "%load_ext course_utils",
        CRASH,
        "%%sandbox --budget 120 --into fine\n"
        "from course_utils.sandbox.inside import report\n"
        "report(images_per_second=12.5, growth_mib=3, _origin='for later cells')",
        "from course_utils import notebook\nnotebook.compare({'big': crash, 'nothing': fine}, alt='Only one climbs.')",
        "notebook.claims([('`del` frees it', '3 MiB', 'depends: on the rest')])\nnotebook.versions(seed=7)",
    ]
    stored = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(
        stored, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    whole = json.dumps(stored)
    assert "Starting" not in whole and "Running" not in whole
    assert [len(cell.outputs) for cell in stored.cells] == [0, 1, 1, 1, 2]
    compared = stored.cells[3].outputs[0].data
    assert compared["text/plain"].startswith("Only one climbs. Peaks: big 1")
    assert "Images per second" in compared["text/plain"] and "12.5" in compared["text/plain"]
    reported = stored.cells[2].outputs[0].data["text/plain"]
    assert "Reported: Images per second: 12.5; Growth (MiB): 3\n" in reported
    # Its name begins with an underscore. A text, since digits may also stand in the coordinates of a picture.
    assert "for later cells" not in json.dumps([cell.outputs for cell in stored.cells])
    assert 'aria-label="Only one climbs. Peaks: big 1' in compared["text/html"]
    assert "Depends: on the rest" in stored.cells[4].outputs[0].data["text/plain"]
    versions = stored.cells[4].outputs[1].data["text/plain"]
    assert "tensorflow" in versions and "memory counted by" in versions and "7" in versions


@pytest.mark.parametrize("metadata", [{"cellId": "a"}, {"colab": {"cell_id": "b"}}], ids=["Jupyter", "Colab"])
def test_an_edited_cell_replaces_its_earlier_version(notebook: Notebook, metadata: dict) -> None:
    assert "OLD" in notebook.run("%%graded 00\ndef train(folder):\n    print('OLD')", **metadata).streams["stdout"]
    edited = notebook.run("%%graded 00\ndef fit(folder):\n    print('NEW')", **metadata)
    assert "does not define train(folder)" in edited.text
    assert notebook.run("%reload_ext course_utils").status == "ok"  # and forgets nothing
    handed_in = notebook.run("%course submit 00")
    assert handed_in.status == "ok", handed_in.streams["stderr"]
    assert "OLD" not in (notebook.folder / "submission_00.ipynb").read_text()


def test_a_file_that_cannot_be_written_is_one_sentence(notebook: Notebook) -> None:
    notebook.run("%%graded 00\ndef train(folder):\n    raise NotImplementedError('Write me.')")
    notebook.run("%cd -q /proc")
    cell = notebook.run("%course submit 00")
    notebook.run(f"%cd -q {notebook.folder}")
    assert cell.status == "error"
    assert "cannot be written here" in cell.streams["stderr"]


def test_graded_cells_from_starter_to_handed_in_file(notebook: Notebook) -> None:
    starter = notebook.run(
        '%%graded 01\nimport keras\n\ndef train(folder):\n    raise NotImplementedError("Write me.")\n'
    )
    assert starter.status == "ok" and starter.text.startswith("○ NOT ATTEMPTED YET")
    assert "%course hint 01" in starter.text

    mistaken = notebook.run("%%graded 01\nimport keras\n\ndef train(folder):\n    return folder.shape\n")
    assert mistaken.text.startswith("✕ STOPPED BY AN ERROR, 0 of 100")
    assert "line 5:  return folder.shape" in mistaken.text.replace(" in train", "")

    first_hint, second_hint = (notebook.run("%course hint 01").text for _ in range(2))
    assert "HINT 1 OF" in first_hint and "HINT 2 OF" in second_hint and first_hint != second_hint

    answer = notebook.run(f"%%graded 01\n{QUICK_ANSWER}")
    assert len(answer.displays) == 1
    assert "Peak memory:" in answer.text and "Accuracy:" in answer.text and "floor" in answer.text
    progress = notebook.run("%course progress")
    assert "2 attempts, 2 of" in progress.text

    handed_in = notebook.run("%course submit 01")
    assert "submission_01.ipynb" in handed_in.text
    (record,) = [
        grade_answer(answer, labs.get(answer.lab)) for answer in read(notebook.folder / "submission_01.ipynb").answers
    ]
    word = RESULTS[record.verdict].word.upper()
    assert answer.text.splitlines()[0].split(", ")[0].endswith(word)
    kept = json.loads((notebook.folder / "progress" / "progress.json").read_text())["labs"]["01"]
    assert kept["peak_mib"] == pytest.approx(record.peak_mib, rel=0.02, abs=1)
