"""A page of pictures of a data set: its images by class, or one image under augmentations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from foolscope.augmentation import AUGMENTATIONS, AugmentationSettings, Draws
from foolscope.core.randomness import numpy_generator, torch_generator
from foolscope.core.settings import plain_words
from foolscope.data import Dataset, LabeledImages
from foolscope.reports import document as doc

__all__ = ["Sheet", "augmentation_sheet", "class_sheet", "shown_settings", "title_of"]

_SETS = {"train": "training set", "validation": "validation set", "test": "test set"}
_COLUMNS = 6
_POLICY_DRAWS = 6

_SHOWN: dict[str, dict[str, float | str]] = {
    "horizontal-flip": {"probability": 1.0},
    "translate-x": {"shift": 0.3},
    "translate-y": {"shift": 0.3},
    "shear-x": {"degrees": 10.0},
    "shear-y": {"degrees": 10.0},
    "rotate": {"degrees": 20.0},
    "scale": {"factor": 1.3},
    "hue": {"shift": 0.3},
    "saturation": {"factor": 2.0},
    "brightness": {"factor": 0.5},
    "contrast": {"factor": 0.5},
    "gray": {"probability": 1.0},
    "sharpness": {"factor": 20.0},
    "gaussian-blur": {"sigma": 1.0},
    "posterize": {"bits": 3},
    "solarize": {"threshold": "200/255"},
    "invert": {"probability": 1.0},
    "noise": {"deviation": 0.1},
    "random-erasing": {"area": 0.15, "probability": 1.0},
}
"""Settings that show an operation: fixed numbers, where there is a published figure those of the figure."""


@dataclass(frozen=True)
class Sheet:
    """Pictures with titles in rows, and what they show.

    Args:
        title: the heading.
        caption: a sentence or two.
        rows: of pictures, (channel, height, width) in [0, 1].
    """

    title: str
    caption: str
    rows: tuple[tuple[doc.Panel, ...], ...]

    @property
    def document(self) -> doc.Document:
        """The sheet as a page."""
        return doc.Document(self.title, "", lead=[doc.Gallery(self.rows, self.caption, key="sheet")])


def shown_settings(name: str, values: dict[str, object]) -> AugmentationSettings:
    """Return an operation's settings for a sheet: fixed numbers unless others are given.

    Raises:
        pydantic.ValidationError: a value is out of range, or a field unknown.
    """
    return AUGMENTATIONS[name].settings.model_validate({"name": name, **_SHOWN.get(name, {}), **values})


def title_of(settings: AugmentationSettings) -> str:
    """Name an operation with its setting.

    Example:
        >>> title_of(AUGMENTATIONS["rotate"].settings(degrees=20))
        'rotate 20°'
        >>> title_of(AUGMENTATIONS["translate-x"].settings(shift=[-0.1, 0.3]))
        'translate-x -10 % to 30 %'
    """
    field = type(settings).measure
    if field is None:
        return settings.name
    value, unit = getattr(settings, field), type(settings).unit
    numbers = value if isinstance(value, tuple) else (value,)
    return f"{settings.name} {' to '.join(_number(number, unit) for number in numbers)}"


def _number(number: float, unit: str) -> str:
    if unit.startswith(" of the "):
        return f"{100 * number:.3g} %"
    words = plain_words(float(number))
    return f"{words if '/' in words else format(number, '.3g')}{unit}"


def class_sheet(dataset: Dataset, split: str, per_class: int, seed: int) -> Sheet:
    """Show some images of every class, drawn by a named seed.

    Args:
        dataset: whose.
        split: ``train``, ``validation`` or ``test``.
        per_class: images of each class, fewer where it has fewer.
        seed: of the draw.
    """
    part = dataset.split(split)
    labels = part.labels.cpu().numpy()
    rows = []
    for label, name in enumerate(dataset.classes):
        members = np.flatnonzero(labels == label)
        drawn = numpy_generator(seed, "sheet", name).permutation(members)[:per_class]
        panels = [
            doc.Panel(_picture(part.images[int(index)]), name if not place else "\u00a0", [f"no. {index}"])
            for place, index in enumerate(drawn)
        ]
        if panels:
            rows.append(tuple(panels))
    caption = f"Images of the {_SETS[split]} by class, drawn at random (seed {seed}), with their positions."
    return Sheet(f"{dataset.name} by class", caption, tuple(rows))


def augmentation_sheet(
    dataset: Dataset,
    split: str,
    operations: Sequence[AugmentationSettings],
    *,
    seed: int,
    index: int | None = None,
) -> Sheet:
    """Show one image as it is and under each operation; of a policy, under its operations and some draws.

    Args:
        dataset: whose image.
        split: ``train``, ``validation`` or ``test``.
        operations: which fit the images.
        seed: of the choice of the image and of all random numbers.
        index: the position of the image; drawn if not given.
    """
    part = dataset.split(split)
    chosen = int(numpy_generator(seed, "sheet").integers(len(part))) if index is None else index
    sheet = _Augmented(dataset.classes, _with_partners(part, chosen, seed), seed)
    panels = [doc.Panel(sheet.images[0].numpy(), "original", [dataset.classes[int(part.labels[chosen])]])]
    drawn: list[doc.Panel] = []
    for settings in operations:
        parts = AUGMENTATIONS[settings.name].parts(settings, dataset.image_shape)
        panels += [sheet.panel(each, 0) for each in parts or (settings,)]
        if parts:
            drawn += [
                replace(sheet.panel(settings, number), title=f"{settings.name}, draw {number + 1}")
                for number in range(_POLICY_DRAWS)
            ]
    rows = [
        tuple(some[start : start + _COLUMNS])
        for some in (panels, drawn)
        for start in range(0, len(some), _COLUMNS)
    ]
    height, width = dataset.image_shape[1:]
    caption = (
        f"Image {chosen} of the {_SETS[split]}, {width} pixels wide and {height} high, and one picture per "
        f"operation with its setting (seed {seed}). Translations and areas are shares of the width, height "
        "or area; thresholds and deviations are of pixels in [0, 1]."
    )
    names = ", ".join(settings.name for settings in operations)
    shown = names if len(operations) <= 3 else f"{len(operations)} operations"
    return Sheet(f"{dataset.name} under {shown}", caption, tuple(rows))


@dataclass(frozen=True)
class _Augmented:
    """One image, followed by others to mix it with.

    Args:
        classes: names.
        chosen: the images.
        seed: of the operations.
    """

    classes: tuple[str, ...]
    chosen: LabeledImages
    seed: int

    @property
    def images(self) -> Tensor:
        """The images in [0, 1]."""
        return self.chosen.images.cpu().float() / 255.0

    def panel(self, settings: AugmentationSettings, number: int) -> doc.Panel:
        """Return the picture of one draw of an operation."""
        entry = AUGMENTATIONS[settings.name]
        generator = torch_generator(self.seed, "sheet", settings.name, number)
        draws = Draws(generator, torch.arange(len(self.chosen)), number, self.seed)
        if entry.apply is not None:
            return doc.Panel(entry.apply(settings, self.images, draws)[0].numpy(), title_of(settings))
        assert entry.mix is not None
        mixed, mixing = entry.mix(settings, self.images, draws)
        others = torch.arange(len(self.chosen)) != mixing.partners
        row = int(others.to(torch.uint8).argmax())
        labels = [int(self.chosen.labels[place]) for place in (row, int(mixing.partners[row]))]
        weight = float(mixing.weights[row])
        words = [
            f"{100 * share:.0f} % {self.classes[label]}"
            for share, label in zip((weight, 1 - weight), labels, strict=True)
        ]
        return doc.Panel(mixed[row].numpy(), title_of(settings), words)


def _with_partners(part: LabeledImages, chosen: int, seed: int) -> LabeledImages:
    """Return an image and seven others."""
    others = numpy_generator(seed, "sheet", "partners").permutation(len(part))[:8]
    rest = [int(other) for other in others if other != chosen][:7]
    return part.take(torch.tensor([chosen, *rest], device=part.labels.device))


def _picture(image: Tensor) -> np.ndarray:
    return image.cpu().numpy()
