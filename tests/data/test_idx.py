import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from foolscope.core.errors import DataError
from foolscope.data import MnistSettings, load, source
from foolscope.data.idx import IDX_FILES, read_idx

arrays = npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))


@given(arrays, st.booleans())
def test_round_trip_of_any_shape(tmp_path_factory, idx_bytes, array, packed):
    path = tmp_path_factory.mktemp("idx") / ("file.gz" if packed else "file")
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if packed else content)
    result = read_idx(path)
    assert result.shape == array.shape
    assert np.array_equal(result, array)
    result[...] = 0


@given(st.data())
def test_cut_short_anywhere_is_one_line_naming_the_file(tmp_path_factory, idx_bytes, pixels, data):
    packed = data.draw(st.booleans())
    path = tmp_path_factory.mktemp("idx") / ("file.gz" if packed else "file")
    content = idx_bytes(pixels(0, 3, 4, 5))
    content = gzip.compress(content) if packed else content
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG....", "begins with 89 50 4e 47"),
        (bytes([0, 0, 9, 1, 0, 0, 0, 0]), "0x09"),
        (bytes([0, 0, 8, 3, 0, 0]), "header is cut short"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 2, 7]), "1 of 2 bytes"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 1, 7, 7]), "goes on"),
        (bytes([0, 0, 8, 4]) + b"\xff" * 16, "cannot read"),
    ],
)
def test_wrong_files(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


def test_damaged_gzip(tmp_path, idx_bytes, pixels):
    content = bytearray(gzip.compress(idx_bytes(pixels(0, 10, 28, 28))))
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot read"):
        read_idx(path)
    path.write_bytes(b"not gzip at all")
    with pytest.raises(DataError, match=r"[Nn]ot a gzipped file"):
        read_idx(path)


@pytest.mark.parametrize("packed", [True, False])
def test_folder_reads_the_right_file_for_the_right_split(tmp_path, write_idx_folder, packed, pixels):
    write_idx_folder(tmp_path / "MNIST" / "raw", packed)
    parts = source("mnist").read(MnistSettings(), tmp_path)
    assert np.array_equal(parts.train.images[:, 0].numpy(), pixels(0, 40, 28, 28))
    assert np.array_equal(parts.test.images[:, 0].numpy(), pixels(1, 20, 28, 28))
    assert parts.train.labels.tolist() == [index % 10 for index in range(40)]


@pytest.mark.parametrize("file", IDX_FILES)
def test_folder_names_the_missing_file(tmp_path, write_idx_folder, file):
    write_idx_folder(tmp_path / "MNIST" / "raw", True)
    (tmp_path / "MNIST" / "raw" / f"{file}.gz").unlink()
    with pytest.raises(DataError, match=f"{file}.gz .*foolscope data get mnist.*--data-dir"):
        load(MnistSettings(), tmp_path)


def test_folder_with_damaged_or_swapped_files(tmp_path, write_idx_folder):
    folder = tmp_path / "MNIST" / "raw"
    write_idx_folder(folder, False)
    labels = (folder / IDX_FILES[1]).read_bytes()
    (folder / IDX_FILES[1]).write_bytes(labels[:-1])
    with pytest.raises(DataError, match=r"39 of 40 bytes.*delete it and run 'foolscope data get mnist'"):
        load(MnistSettings(), tmp_path)
    (folder / IDX_FILES[1]).write_bytes((folder / IDX_FILES[3]).read_bytes())
    with pytest.raises(DataError, match="40 images, 20 labels"):
        load(MnistSettings(), tmp_path)
    (folder / IDX_FILES[1]).write_bytes((folder / IDX_FILES[0]).read_bytes())
    with pytest.raises(DataError, match="must have 1 dimensions"):
        load(MnistSettings(), tmp_path)
