"""RandAugment, TrivialAugment and AugMix: the tables, the choices, the mixture."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from eight_bit import augmented, draws_for, in_pillow, pictures, to_tensor
from PIL import Image, ImageEnhance, ImageOps

from foolscope.augmentation import AUGMENTATIONS
from foolscope.augmentation.augmix import augmix_choices
from foolscope.augmentation.choices import apply_chosen
from foolscope.augmentation.policies import rand_choices, trivial_choices

# What _augmentation_space of torchvision's RandAugment and TrivialAugmentWide says with 31 bins, for images
# of height 32 and width 48; their Color is saturation.
BINS = np.arange(31)
RAND = {
    "identity": 0 * BINS,
    "shear-x": np.linspace(0.0, 0.3, 31),
    "shear-y": np.linspace(0.0, 0.3, 31),
    "translate-x": np.linspace(0.0, 150.0 / 331.0 * 48, 31).astype(int),
    "translate-y": np.linspace(0.0, 150.0 / 331.0 * 32, 31).astype(int),
    "rotate": np.linspace(0.0, 30.0, 31),
    "brightness": 1 + np.linspace(0.0, 0.9, 31),
    "saturation": 1 + np.linspace(0.0, 0.9, 31),
    "contrast": 1 + np.linspace(0.0, 0.9, 31),
    "sharpness": 1 + np.linspace(0.0, 0.9, 31),
    "posterize": 8 - np.round(BINS / (30 / 4)).astype(int),
    "solarize": np.linspace(255.0, 0.0, 31) / 255,
    "auto-contrast": 0 * BINS,
    "equalize": 0 * BINS,
}
TRIVIAL = RAND | {
    "shear-x": np.linspace(0.0, 0.99, 31),
    "shear-y": np.linspace(0.0, 0.99, 31),
    "translate-x": np.linspace(0.0, 32.0, 31).astype(int),
    "translate-y": np.linspace(0.0, 32.0, 31).astype(int),
    "rotate": np.linspace(0.0, 135.0, 31),
    "brightness": 1 + np.linspace(0.0, 0.99, 31),
    "saturation": 1 + np.linspace(0.0, 0.99, 31),
    "contrast": 1 + np.linspace(0.0, 0.99, 31),
    "sharpness": 1 + np.linspace(0.0, 0.99, 31),
    "posterize": 8 - np.round(BINS / (30 / 6)).astype(int),
}
SIGNED = {"shear-x", "shear-y", "translate-x", "translate-y", "rotate"}
ABOUT_ONE = {"brightness", "saturation", "contrast", "sharpness"}
NUMBERLESS = {"identity", "auto-contrast", "equalize"}


@pytest.mark.parametrize(
    ("choices", "published"),
    [(rand_choices(32, 48), RAND), (trivial_choices(), TRIVIAL)],
    ids=["rand", "trivial"],
)
def test_numbers_are_those_of_the_published_table(choices, published):
    assert [choice.name for choice in choices] == list(published)
    for choice in choices:
        if choice.name in NUMBERLESS:
            continue
        numbers = choice.numbers(torch.arange(31)).numpy()
        if "shear" in choice.name:
            numbers = np.tan(np.radians(numbers))
        np.testing.assert_allclose(numbers, published[choice.name], atol=1e-12, err_msg=choice.name)
        assert choice.neutral == (0 if choice.name in SIGNED else 1 if choice.name in ABOUT_ONE else None)


def enhanced(enhancer):
    return lambda image, number: enhancer(image).enhance(number)


def moved(matrix_of):
    def change(image, number):
        return image.transform(
            image.size, Image.Transform.AFFINE, matrix_of(number), Image.Resampling.NEAREST
        )

    return change


IN_PILLOW = {
    "identity": lambda image, number: image,
    "shear-x": moved(lambda number: (1, math.tan(math.radians(number)), 0, 0, 1, 0)),
    "shear-y": moved(lambda number: (1, 0, 0, math.tan(math.radians(number)), 1, 0)),
    "translate-x": moved(lambda number: (1, 0, -number, 0, 1, 0)),
    "translate-y": moved(lambda number: (1, 0, 0, 0, 1, -number)),
    "rotate": lambda image, number: image.rotate(number),
    "brightness": enhanced(ImageEnhance.Brightness),
    "saturation": enhanced(ImageEnhance.Color),
    "contrast": enhanced(ImageEnhance.Contrast),
    "sharpness": enhanced(ImageEnhance.Sharpness),
    "posterize": lambda image, number: ImageOps.posterize(image, int(number)),
    "solarize": lambda image, number: ImageOps.solarize(image, round(255 * number)),
    "auto-contrast": lambda image, number: ImageOps.autocontrast(image),
    "equalize": lambda image, number: ImageOps.equalize(image),
}


def test_every_image_gets_its_own_operation_number_and_sign():
    """All operations side by side in one minibatch, each image against Pillow."""
    choices = rand_choices(21, 25)
    count = 2 * len(choices)
    images = pictures(count, 3, height=21, width=25)
    chosen = torch.arange(count) % len(choices)
    levels, signs = torch.full((count,), 19), torch.where(torch.arange(count) < len(choices), 1.0, -1.0)
    result = 255 * apply_chosen(
        to_tensor(images), choices, chosen, levels, signs, interpolation="nearest", fill=0.0
    )
    for row, (image, choice) in enumerate(zip(images, choices * 2, strict=True)):
        number = float(choice.numbers(levels[:1])[0])
        if choice.neutral is not None:
            number = choice.neutral + float(signs[row]) * (number - choice.neutral)
        expected = in_pillow(image[None], partial(IN_PILLOW[choice.name], number=number))
        assert np.abs(result[row].numpy() - expected[0]).max() <= 1.58, choice.name


@pytest.mark.parametrize(("policy", "count"), [("rand", 14), ("trivial", 14), ("augmix", 9)])
def test_operations_are_chosen_uniformly(policy, count, monkeypatch):
    module = f"foolscope.augmentation.{'augmix' if policy == 'augmix' else 'policies'}"
    seen = []

    def spy(images, choices, chosen, levels, signs, **options):
        seen.append((chosen, levels, signs))
        return images

    monkeypatch.setattr(f"{module}.apply_chosen", spy)
    augmented(policy, torch.zeros(4200, 1, 1, 1), **({"depth": 2} if policy == "augmix" else {}))
    assert len(seen) == {"rand": 2, "trivial": 1, "augmix": 2}[policy]
    for chosen, levels, signs in seen:
        counts = torch.bincount(chosen).double()
        counts = counts[1:] if policy == "augmix" else counts
        assert len(counts) == count
        expected = len(chosen) / count
        assert ((counts - expected) ** 2 / expected).sum() < 34.5  # χ² with 13 degrees of freedom: p = 0.001
        assert abs(signs.mean()) < 0.06
        if policy == "rand":
            assert (levels == 9).all()
        if policy == "trivial":
            assert torch.bincount(levels, minlength=31).min() > 90
        if policy == "augmix":
            assert 0.1 <= levels.min() < levels.max() < 3.0
    assert len({tuple(chosen.tolist()) for chosen, _, _ in seen}) == len(seen)


def test_augmix_numbers_are_those_of_the_authors_code():
    """Their ``int_parameter(level, m)`` is int(level · m / 10), ``float_parameter`` level · m / 10."""
    levels = torch.tensor([0.1, 1.0, 2.9, 9.99], dtype=torch.float64)
    numbers = {choice.name: choice.numbers(levels).tolist() for choice in augmix_choices(32, 48)[1:]}
    expected = {
        "posterize": [4 - int(level * 4 / 10) for level in levels.tolist()],
        "rotate": [int(level * 30 / 10) for level in levels.tolist()],
        "solarize": [(256 - int(level * 256 / 10)) / 255 for level in levels.tolist()],
        "shear-x": [math.degrees(math.atan(level * 0.3 / 10)) for level in levels.tolist()],
        "translate-x": [int(level * (48 / 3) / 10) for level in levels.tolist()],
        "translate-y": [int(level * (32 / 3) / 10) for level in levels.tolist()],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(numbers[name], values, atol=1e-12)
    assert len(numbers) == 9


def test_augmix_mixes_the_image_with_its_chains(monkeypatch):
    """With chains replaced by known pictures, the result is their weighted mean with the image."""
    images = to_tensor(pictures(5, 3))
    pretended = torch.rand(15, *images.shape[1:], generator=torch.Generator().manual_seed(9))
    monkeypatch.setattr("foolscope.augmentation.augmix.apply_chosen", lambda *arguments, **options: pretended)
    draws = draws_for(5)
    weights, share = draws.dirichlet(1.0, 3), draws.beta(1.0).view(-1, 1, 1, 1)
    torch.testing.assert_close(weights.sum(1), torch.ones(5, dtype=torch.float64))
    chains = pretended.view(3, 5, *images.shape[1:])
    mixture = sum(weights[:, each].view(-1, 1, 1, 1) * chains[each] for each in range(3))
    expected = (1 - share) * images + share * mixture
    torch.testing.assert_close(augmented("augmix", images), expected.float())


def test_depth_is_the_number_of_operations_in_a_chain(monkeypatch):
    seen = []

    def spy(images, choices, chosen, levels, signs, **options):
        seen.append(chosen > 0)
        return images

    monkeypatch.setattr("foolscope.augmentation.augmix.apply_chosen", spy)
    augmented("augmix", torch.zeros(2000, 1, 1, 1))
    lengths = torch.bincount(torch.stack(seen).sum(0))
    assert lengths[0] == 0
    assert all(abs(count - 2000) < 150 for count in lengths[1:].tolist())
    assert (seen[0] >= seen[1]).all()
    assert (seen[1] >= seen[2]).all()


@pytest.mark.parametrize("policy", ["rand", "trivial", "augmix"])
def test_the_parts_of_a_policy_are_its_operations_alone(policy):
    entry = AUGMENTATIONS[policy]
    color, gray = (entry.parts(entry.settings(), (channels, 32, 48)) for channels in (3, 1))
    assert len(color) == {"rand": 13, "trivial": 13, "augmix": 9}[policy]
    assert [part.name for part in gray] == [part.name for part in color if part.name != "saturation"]
    for part in gray:
        AUGMENTATIONS[part.name].check(part, (1, 32, 48))
    if policy == "rand":
        (rotate,) = [part for part in color if part.name == "rotate"]
        assert rotate.degrees == pytest.approx(9)
