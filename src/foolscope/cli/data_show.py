"""``foolscope data show``: pictures of a data set by class, or one image under augmentations."""

from pathlib import Path

import click
import pydantic

from foolscope.augmentation import AUGMENTATIONS, AugmentationSettings
from foolscope.cli.options import data_option
from foolscope.core.errors import DataError, RecipeError, require_known
from foolscope.core.files import write_text
from foolscope.core.settings import one_line
from foolscope.data import DATASETS, Dataset, load, source
from foolscope.experiments.recipe import LISTS
from foolscope.reports import render_html
from foolscope.reports.contact_sheet import Sheet, augmentation_sheet, class_sheet, shown_settings

__all__ = ["show_command"]

_EXAMPLES = """\b
Examples:
  foolscope data show digits                          images by class
  foolscope data show cifar10 --augment rand          the operations of RandAugment
  foolscope data show cifar10 --augment rotate:degrees=45+cutout:size=12:fill=0.5
  foolscope data show cifar10 --augment all --image 7 --output sheet.html
"""


@click.command("show", epilog=_EXAMPLES)
@click.argument("name", metavar="|".join(DATASETS), default="digits")
@click.option(
    "--augment",
    metavar="NAME[:FIELD=VALUE]+...",
    help="Show one image under these operations; of a policy (rand, trivial, augmix) under its own; or all.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="train",
    show_default=True,
    help="Which of its sets.",
)
@click.option("--image", type=click.IntRange(0), help="Position of the image.  [default: drawn by the seed]")
@click.option(
    "--per-class", type=click.IntRange(1, 24), default=8, show_default=True, help="Images of each class."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all draws.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="The page.  [default: NAME.html, with --augment NAME-augmented.html]",
)
@click.option("--path", help="The folder or file, for data sets of your own (folder, npz).")
@data_option
def show_command(
    name: str,
    augment: str | None,
    split: str,
    image: int | None,
    per_class: int,
    seed: int,
    output: Path | None,
    path: str | None,
    data_dir: Path | None,
) -> None:
    """Write a page with images of a data set, by class or augmented."""
    operations = None if augment is None else _operations(augment)
    dataset = _read(name, path, data_dir)
    if operations is None:
        sheet = class_sheet(dataset, split, per_class, seed)
    else:
        sheet = _augmented(dataset, split, operations, augment == "all", seed, image)
    page = output or Path(f"{name}.html" if operations is None else f"{name}-augmented.html")
    write_text(page, render_html(sheet.document))
    click.echo(f"Contact sheet: {page}")


def _read(name: str, path: str | None, data_dir: Path | None) -> Dataset:
    settings = source(name).settings
    values = {"name": name} if path is None else {"name": name, "path": path}
    try:
        return load(settings.model_validate(values), data_dir)
    except pydantic.ValidationError as error:
        raise one_line(error) from error


def _augmented(
    dataset: Dataset,
    split: str,
    operations: list[AugmentationSettings],
    only_fitting: bool,
    seed: int,
    image: int | None,
) -> Sheet:
    count = len(dataset.split(split))
    if image is not None and image >= count:
        raise DataError(f"--image must be less than {count:,}, the images of the {split} set; got {image}")
    fitting = []
    for settings in operations:
        try:
            AUGMENTATIONS[settings.name].check(settings, dataset.image_shape)
        except RecipeError:
            if not only_fitting:
                raise
        else:
            fitting.append(settings)
    return augmentation_sheet(dataset, split, fitting, seed=seed, index=image)


def _operations(text: str) -> list[AugmentationSettings]:
    """Read ``rotate:degrees=[-30,30]+cutout:size=8:fill=0.5``; ``all`` means all but the policies."""
    if text == "all":
        return [shown_settings(name, {}) for name in AUGMENTATIONS if not _is_policy(name)]
    shown = []
    for table in LISTS["augmentation"].tables(text):
        name = table.pop("name")
        require_known(name, AUGMENTATIONS, "augmentation")
        try:
            shown.append(shown_settings(name, table))
        except pydantic.ValidationError as error:
            known = {"": [field for field in AUGMENTATIONS[name].settings.model_fields if field != "name"]}
            raise RecipeError(f"{name}: {one_line(error, known)}") from error
    return shown


def _is_policy(name: str) -> bool:
    entry = AUGMENTATIONS[name]
    return bool(entry.parts(entry.settings(name=name), (3, 32, 32)))
