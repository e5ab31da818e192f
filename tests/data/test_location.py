from pathlib import Path

import pytest

from foolscope.core.errors import DataError
from foolscope.data.location import data_root, own_path


def test_data_root_order(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FOOLSCOPE_DATA", raising=False)
    assert data_root() == tmp_path / ".cache" / "foolscope" / "data"
    monkeypatch.setenv("FOOLSCOPE_DATA", "~/elsewhere")
    assert data_root() == tmp_path / "elsewhere"
    assert data_root(Path("~/named")) == tmp_path / "named"


def test_own_path_as_it_stands_then_under_the_root(monkeypatch, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.npz").touch()
    monkeypatch.chdir(tmp_path)
    assert own_path("a.npz", root) == root / "a.npz"
    (tmp_path / "a.npz").touch()
    assert own_path("a.npz", root).absolute() == tmp_path / "a.npz"
    with pytest.raises(DataError, match="no such file or folder"):
        own_path("b.npz", root)
