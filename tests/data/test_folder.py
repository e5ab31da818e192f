import os

import numpy as np
import pytest
from PIL import Image

from foolscope.core.errors import DataError
from foolscope.data import FolderSettings, load, source


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array)).save(path, **options)


def read(root, **changes):
    return source("folder").read(FolderSettings(path=str(root), **changes), root)


@pytest.fixture
def top(tmp_path, pixels):
    for seed, name in enumerate(("train/b/1", "train/b/2", "train/a/1", "test/a/1", "test/b/1")):
        save(tmp_path / f"{name}.png", pixels(seed, 5, 4, 3))
    return tmp_path


def test_split_folder_pixel_by_pixel(top, pixels):
    parts = read(top, height=5, width=4)
    assert parts.classes == ("a", "b")
    assert parts.train.labels.tolist() == [0, 1, 1]
    for got, seed in zip(parts.train.images, (2, 0, 1), strict=True):
        assert np.array_equal(got.permute(1, 2, 0).numpy(), pixels(seed, 5, 4, 3))
    assert parts.test.labels.tolist() == [0, 1]
    assert parts.validation is None


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_own_validation_set(top, name, pixels):
    save(top / name / "b" / "1.png", pixels(9, 5, 4, 3))
    parts = read(top)
    assert parts.validation.labels.tolist() == [1]
    assert len(load(FolderSettings(path=str(top)), top).validation) == 1


def test_two_validation_sets(top, pixels):
    for name in ("validation", "val"):
        save(top / name / "b" / "1.png", pixels(9, 5, 4, 3))
    with pytest.raises(DataError, match="one validation set"):
        read(top)


def test_unsplit_folder(tmp_path, writers):
    data = load(writers["folder"](tmp_path), tmp_path)
    assert data.classes == ("cat", "dog")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [14, 2, 4]
    assert data.test.labels.bincount().tolist() == [2, 2]
    assert data.image_shape == (3, 6, 5)


def test_classes_may_be_called_train_and_test(tmp_path, pixels):
    for name in ("train", "test", "bus"):
        for index in range(5):
            save(tmp_path / name / f"{index}.png", pixels(index, 4, 4, 3))
    assert read(tmp_path).classes == ("bus", "test", "train")


def test_any_sizes_become_one_and_flat_images_stay_flat(tmp_path):
    for index, size in enumerate([(3, 100), (100, 3), (1, 1), (40, 40), (64, 2)]):
        save(tmp_path / "a" / f"{index}.png", np.full((*size, 3), (10, 20, 30), np.uint8))
        save(tmp_path / "b" / f"{index}.png", np.full((*size, 3), (200, 20, 30), np.uint8))
    parts = read(tmp_path, height=7, width=9)
    assert parts.train.images.shape[1:] == (3, 7, 9)
    for image, label in zip(parts.train.images, parts.train.labels, strict=True):
        assert (image[0] == (10 if label == 0 else 200)).all()
        assert (image[1] == 20).all()
        assert (image[2] == 30).all()


def test_gray_is_the_luma_of_the_colors_and_gray_files_become_equal_channels(tmp_path):
    for index in range(5):
        save(tmp_path / "a" / f"{index}.png", np.full((4, 4, 3), (255, 0, 0), np.uint8))
        save(tmp_path / "b" / f"{index}.png", np.full((4, 4), 77, np.uint8))
    gray = read(tmp_path, color="grayscale")
    assert gray.train.images.shape[1] == 1
    values = {
        int(label): int(image[0, 0, 0])
        for image, label in zip(gray.train.images, gray.train.labels, strict=True)
    }
    # ITU-R BT.601: 0.299 of red.
    assert values == {0: 76, 1: 77}
    color = read(tmp_path)
    assert all((image == 77).all() for image in color.train.images[color.train.labels == 1])


def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path):
    for index in range(5):
        save(tmp_path / "a" / f"{index}.png", np.full((4, 4), 257 * 100, np.uint16))
    assert (read(tmp_path, color="grayscale").train.images == 100).all()


def test_orientation_in_the_exif_data_is_obeyed(tmp_path):
    array = np.zeros((8, 16, 3), np.uint8)
    array[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(5):
        save(tmp_path / "a" / f"{index}.png", array, exif=exif)
    # Rotated by 90 degrees clockwise: the white left half comes to the top.
    image = read(tmp_path, height=16, width=8).train.images[0, 0]
    assert (image[:8] == 255).all()
    assert (image[8:] == 0).all()


@pytest.mark.parametrize("keep", [0, 10, 60])
def test_damaged_image_is_named(top, keep):
    path = top / "train" / "a" / "1.png"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        read(top)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_files_and_hidden_folders_are_passed_over(top):
    (top / "train" / "a" / "Thumbs.db").write_bytes(b"x")
    (top / "train" / ".cache").mkdir()
    assert len(read(top).train) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(top):
    os.mkfifo(top / "train" / "a" / "2.png")
    with pytest.raises(DataError, match=r"2\.png is not a file; remove it from the folder"):
        read(top)


def test_folders_that_cannot_be_read(top, tmp_path, pixels):
    with pytest.raises(DataError, match="is not a folder"):
        read(top / "train" / "a" / "1.png")
    save(top / "test" / "z" / "1.png", pixels(0, 4, 4, 3))
    with pytest.raises(DataError, match="the class 'z', which is not in"):
        read(top)
    (top / "empty").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        read(top / "empty")
    (top / "empty" / "a").mkdir()
    with pytest.raises(DataError, match="has no images"):
        read(top / "empty")


def test_half_a_split(tmp_path, pixels):
    save(tmp_path / "train" / "a" / "1.png", pixels(0, 4, 4, 3))
    with pytest.raises(DataError, match="but no test/"):
        read(tmp_path)
