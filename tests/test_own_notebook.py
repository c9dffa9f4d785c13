"""The lines that each lab gives for a notebook of one's own run as they stand, without the course."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from course_utils import labs, sandbox, scans
from tools import ROOT
from tools.source import read

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GIVEN = """
import keras as _keras
import numpy as _numpy
from pathlib import Path as _Path

paths = sorted(map(str, _Path("pictures").glob("*/*.jpg")))
labels = [int(_Path(path).parent.name) for path in paths]
x = _numpy.zeros((len(paths), 96, 96, 3), dtype="uint8")
y = _numpy.array(labels)
_layers = [_keras.layers.Conv2D(4, 3, strides=4), _keras.layers.GlobalMaxPooling2D(), _keras.layers.Dense(10)]
model = _keras.Sequential([_keras.layers.Input((96, 96, 3)), *_layers, _keras.layers.Activation("softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
"""
"""What the labs call `your model` and `your data`."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `pictures/CLASS` and `files/train/CLASS` hold forty scans."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(scans.load("train", count=40, size=96), folder / "pictures")
    shutil.copytree(folder / "pictures", folder / "files" / "train")
    return folder


@pytest.mark.trains
@pytest.mark.parametrize("lab", labs.specs(), ids=lambda lab: lab.number)
def test_the_lines_for_a_notebook_of_ones_own_run_without_the_course(lab: labs.LabSpec, pictures: Path) -> None:
    source = read(ROOT / "solutions" / f"{lab.name}.py")
    [cell] = [cell for cell in source.cells if "own" in cell.tags]
    [code] = FENCE.findall(cell.text)
    assert "course_utils" not in code
    outcome = sandbox.run([("given", GIVEN), ("own", code)], budget_mib=2048, time_limit=300, directory=pictures)
    assert outcome.status == "finished", outcome.post_mortem()
