import numpy as np
import torch

from foolscope.augmentation import AUGMENTATIONS, Draws
from foolscope.data import DigitsSettings, load
from foolscope.reports.contact_sheet import augmentation_sheet, class_sheet, shown_settings


def test_pictures_are_the_augmented_image():
    dataset = load(DigitsSettings())
    operations = [shown_settings(name, {}) for name in ("rotate", "sharpness", "invert")]
    ((original, *pictures),) = augmentation_sheet(dataset, "test", operations, seed=0, index=5).rows
    image = dataset.test.images[5:6].float() / 255
    np.testing.assert_array_equal(original.image, image[0])
    assert original.lines == [dataset.classes[int(dataset.test.labels[5])]]
    draws = Draws(torch.Generator(), torch.arange(1), 0, 0)
    for settings, picture in zip(operations, pictures, strict=True):
        expected = AUGMENTATIONS[settings.name].apply(settings, image, draws)
        np.testing.assert_allclose(picture.image, expected[0], atol=1e-6)
        assert not np.allclose(picture.image, image[0])


def test_mixed_images_say_of_what():
    dataset = load(DigitsSettings())
    ((_, mixed, pasted),) = augmentation_sheet(
        dataset, "train", [shown_settings(name, {}) for name in ("mixup", "cutmix")], seed=0
    ).rows
    for panel in (mixed, pasted):
        assert sum(int(line.partition(" %")[0]) for line in panel.lines) == 100


def test_images_of_a_class_have_its_label():
    dataset = load(DigitsSettings())
    sheet = class_sheet(dataset, "validation", 4, seed=2)
    for label, row in enumerate(sheet.rows):
        assert row[0].title == dataset.classes[label]
        for panel in row:
            index = int(panel.lines[0].removeprefix("no. "))
            assert int(dataset.validation.labels[index]) == label
            np.testing.assert_array_equal(panel.image, dataset.validation.images[index])
    assert [len(row) for row in sheet.rows] == [4] * 10
    assert class_sheet(dataset, "validation", 4, seed=3).rows[0][0].lines != sheet.rows[0][0].lines
