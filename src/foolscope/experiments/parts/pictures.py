"""Pictures of images with what a model predicts for them, as galleries show them."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from foolscope.core.settings import Settings

__all__ = ["GalleryRecord", "PictureRecord", "alternate_classes", "perturbation_rows"]


class PictureRecord(Settings):
    """One picture of a gallery; its pixels are in the study's arrays under ``key``."""

    key: str
    title: str
    lines: list[str]
    probabilities: list[float] = Field(
        default_factory=list, description="predicted for each class; empty if they were not computed"
    )


class GalleryRecord(Settings):
    """Rows of pictures: fooling images, or the worst-classified ones."""

    kind: Literal["fooling", "worst"]
    recipe: str
    caption: str
    rows: list[list[PictureRecord]]


def perturbation_rows(
    prefix: str,
    chosen: Sequence[int],
    images: tuple[Tensor, Tensor],
    probabilities: tuple[Tensor, Tensor],
    sizes: Tensor,
    classes: Sequence[str],
) -> tuple[list[list[PictureRecord]], dict[str, Tensor]]:
    """Show images, perturbations and fooling images side by side; the report draws the perturbations.

    Args:
        prefix: of the keys.
        chosen: indices of the images to show.
        images: all clean and all fooling ones, (batch, channel, height, width) in [0, 1].
        probabilities: predicted for both.
        sizes: of the perturbations, in the attack's norm.
        classes: their names.
    """
    rows: list[list[PictureRecord]] = []
    arrays: dict[str, Tensor] = {}
    for place, index in enumerate(chosen):
        keys = [f"{prefix}-{place}-{part}" for part in ("original", "perturbation", "fooling")]
        clean, fooling = (each[index] for each in images)
        distance = (255 * (fooling - clean)).flatten()
        norms = f"L2 {float(distance.norm()):.3g}, L∞ {float(distance.abs().max()):.3g}"
        predicted = [each[index] for each in probabilities]
        before, after = (int(each.argmax()) for each in predicted)
        rows.append(
            [
                _picture(keys[0], "original", predicted[0], (before, after), classes),
                PictureRecord(
                    key=keys[1], title="perturbation", lines=[f"size {float(sizes[index]):.3g}", norms]
                ),
                _picture(keys[2], "fooling image", predicted[1], (after, before), classes),
            ]
        )
        arrays |= {keys[0]: clean, keys[2]: fooling}
    return rows, arrays


def alternate_classes(candidates: Sequence[int], labels: Sequence[int], count: int) -> list[int]:
    """Choose candidates so that no class comes twice before every class has come once, in ascending order.

    Example:
        >>> alternate_classes([0, 1, 2, 3], [7, 7, 7, 1], 2)
        [0, 3]
    """
    by_class: dict[int, list[int]] = {}
    for index in candidates:
        by_class.setdefault(labels[index], []).append(index)
    ranked = sorted((turn, index) for members in by_class.values() for turn, index in enumerate(members))
    return sorted(index for _, index in ranked[:count])


def _picture(
    key: str, title: str, probabilities: Tensor, named: tuple[int, int], classes: Sequence[str]
) -> PictureRecord:
    """Caption an image with the class predicted, and with the probability of the other image's class."""
    best, other = named
    shown = [f"{100 * float(probabilities[index]):.1f} %" for index in named]
    lines = [classes[best], shown[0], f"{classes[other]} {shown[1]}"]
    return PictureRecord(key=key, title=title, lines=lines, probabilities=probabilities.tolist())
