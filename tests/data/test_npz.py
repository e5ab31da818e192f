import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from foolscope.core.errors import DataError
from foolscope.data import NpzSettings, load, source
from foolscope.data.npz import images_from_array, labels_from_array


def read(path, **changes):
    return source("npz").read(NpzSettings(path=str(path), **changes), path.parent)


images = st.tuples(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(4, 6), st.integers(4, 6)).flatmap(
    lambda shape: npst.arrays(np.uint8, shape)
)


@given(images)
def test_every_layout_and_type_is_the_same_data_set(array):
    layouts = [array, array.transpose(0, 2, 3, 1)] + ([array[:, 0]] if array.shape[1] == 1 else [])
    for layout in layouts:
        assert np.array_equal(images_from_array(layout, "auto", "x"), array)
        for kind in (np.float32, np.float64):
            scaled = (layout / kind(255)).astype(kind)
            assert np.array_equal(images_from_array(scaled, "auto", "x"), array)
    half = (array / 255).astype(np.float16)
    assert np.abs(images_from_array(half, "auto", "x").astype(int) - array).max() <= 1


@given(images, st.sampled_from(["train_images", "x_train"]))
def test_round_trip_through_a_file(tmp_path_factory, array, key):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    names = {"train_images": "train_labels", "x_train": "y_train"}
    test = {
        name.replace("train", "test"): value
        for name, value in ((key, array), (names[key], np.zeros(len(array), int)))
    }
    np.savez_compressed(path, **{key: array, names[key]: np.arange(len(array))}, **test)
    parts = read(path)
    assert np.array_equal(parts.train.images.numpy(), array)
    assert parts.train.labels.tolist() == list(range(len(array)))
    assert np.array_equal(parts.test.images.numpy(), array)
    assert parts.classes == tuple(str(index) for index in range(len(array)))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"must have shape .*got \(4, 5\)"),
        (np.zeros((0, 5, 5), np.uint8), "must have shape"),
        (np.zeros((2, 3, 5, 3), np.uint8), "could be either; set layout"),
        (np.zeros((2, 5, 5, 4), np.uint8), "where its channels are is unclear"),
        (np.zeros((2, 5, 5), np.int64), r"uint8 in \[0, 255\] or floats in \[0, 1\]; got int64"),
        (np.zeros((2, 5, 5), bool), "got bool"),
        (np.full((2, 5, 5), 255.0), r"must be in \[0, 1\]; got 255 to 255"),
        (np.full((2, 5, 5), np.nan), "got nan to nan"),
        (np.full((2, 5, 5), -0.1), "got -0.1"),
    ],
)
def test_images_of_the_wrong_kind(array, message):
    with pytest.raises(DataError, match=message):
        images_from_array(array, "auto", "x")


def test_layout_decides_what_shapes_leave_open():
    array = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    assert np.array_equal(images_from_array(array, "channels-first", "x"), array)
    assert np.array_equal(images_from_array(array, "channels-last", "x"), array.transpose(0, 3, 1, 2))
    assert images_from_array(np.zeros((2, 5, 6, 4), np.uint8), "channels-last", "x").shape == (2, 4, 5, 6)


def test_labels():
    assert labels_from_array(np.array([[1], [0]], np.uint8), "y").tolist() == [1, 0]
    for wrong in (np.array([0.0]), np.zeros((2, 2), int), np.array(["a"]), np.array([-1])):
        with pytest.raises(DataError, match="y must be"):
            labels_from_array(wrong, "y")


def some(count=10):
    return np.zeros((count, 4, 4), np.uint8)


def test_keys_and_counts(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, foo=some())
    with pytest.raises(DataError, match="has the keys foo; it needs train_images"):
        read(path)
    np.savez(path, train_images=some())
    with pytest.raises(DataError, match="has train_images but no train_labels"):
        read(path)
    np.savez(path, images=some(), labels=np.zeros(9, int))
    with pytest.raises(DataError, match="10 images, labels 9 labels"):
        read(path)
    np.savez(path, images=some(), labels=np.full(10, 10**9))
    with pytest.raises(DataError, match="class indices below"):
        read(path)


def test_train_without_test_sets_a_test_set_aside(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x_train=some(), y_train=np.arange(10) % 2)
    parts = read(path)
    assert (len(parts.train), len(parts.test)) == (8, 2)
    assert parts.test.labels.bincount().tolist() == [1, 1]


@pytest.mark.parametrize("name", ["validation", "val"])
def test_own_validation_set(tmp_path, name):
    path = tmp_path / "a.npz"
    splits = {
        f"{split}_{kind}": value
        for split in ("train", "test", name)
        for kind, value in (("images", some()), ("labels", np.arange(10)))
    }
    np.savez(path, **splits)
    data = load(NpzSettings(path=str(path)))
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 10, 10)


def test_class_names(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=some(), labels=np.arange(10) % 2, classes=np.array(["cat", "dog", "cow"]))
    assert read(path).classes == ("cat", "dog", "cow")
    np.savez(path, images=some(), labels=np.arange(10) % 2, classes=np.array(["cat"]))
    with pytest.raises(DataError, match="at least 2 strings"):
        read(path)


def test_pickles_inside_are_never_loaded(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'mark'}",)

    path = tmp_path / "a.npz"
    np.savez(path, images=np.array([Hostile()], dtype=object), labels=np.zeros(1, int))
    with pytest.raises(DataError, match="cannot read"):
        read(path)
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(DataError, match="cannot read"):
        read(path)
    assert not (tmp_path / "mark").exists()


def test_files_that_are_no_archives(tmp_path):
    path = tmp_path / "a.npz"
    with path.open("wb") as stream:
        np.save(stream, some())
    with pytest.raises(DataError, match="single array"):
        read(path)
    for content in (b"", b"PK\x03\x04", b"garbage"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot read"):
            read(path)
    with pytest.raises(DataError, match="cannot read"):
        read(tmp_path)


@given(st.data())
def test_damage_anywhere_is_one_line_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, images=some(), labels=np.arange(10) % 2)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        read(path)
    except DataError as error:
        message = str(error)
    else:
        return
    assert "\n" not in message
