"""The examples run; the notebook from top to bottom, and is stored without results."""

import json
import runpy

from conftest import OPTIONS, ROOT


def test_book(capsys):
    notebook = json.loads((ROOT / "examples/python/book.ipynb").read_text())
    names = {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 10
    for number, cell in enumerate(cells, 1):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        exec(compile("".join(cell["source"]), f"book.ipynb, code cell {number}", "exec"), names)
    assert "digraph" in capsys.readouterr().out


def test_examples(project, tmp_path):
    detect = runpy.run_path(ROOT / "examples/python/detect.py")["detect"]
    assert detect(project.data, project.images[0], tmp_path / "out", **OPTIONS).decision in ("good", "anomalous")
    names = runpy.run_path(ROOT / "examples/python/framework.py")
    assert names["w"].grad is not None and names["x"].numpy().ctypes.data == names["array"].ctypes.data
