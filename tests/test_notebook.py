"""The notebook of the docs runs from top to bottom."""

import warnings

import nbformat
from nbclient import NotebookClient

from tests.conftest import REPOSITORY


def test_the_notebook_runs():
    notebook = nbformat.read(REPOSITORY / "docs/api.ipynb", as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's own start
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": REPOSITORY / "docs"}}).execute()
    assert sum(cell.cell_type == "code" for cell in notebook.cells) >= 8
