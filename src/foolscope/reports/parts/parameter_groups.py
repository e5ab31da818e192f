"""Which parameters are decayed, and with which learning rate: a table group by group."""

from collections.abc import Sequence

from foolscope.experiments.parts.training import ParameterGroup, TrainingRecord
from foolscope.reports import document as doc

__all__ = ["group_table", "groups_by_recipe"]


def groups_by_recipe(trainings: Sequence[TrainingRecord]) -> list[doc.Block]:
    """Show the groups of every recipe, those with the same ones together; nothing where nothing sets apart.

    Groups are worth a table where some parameters have another learning rate, decay or penalty than others.
    """
    tables: dict[tuple[ParameterGroup, ...], list[TrainingRecord]] = {}
    for training in trainings:
        if len({_treatment(each) for each in training.groups}) > 1:
            tables.setdefault(tuple(training.groups), []).append(training)
    blocks: list[doc.Block] = [group_table(*alike) for alike in tables.values()]
    return [doc.Details("How each group of parameters was trained", blocks)] if blocks else []


def group_table(first: TrainingRecord, *alike: TrainingRecord) -> doc.Table:
    """Tabulate the groups of recipes that have the same ones: size, learning rate, decay and penalties."""
    has_l1 = any(each.l1 for each in first.groups)
    columns: list[doc.Column | str] = [
        "parameters",
        doc.Column("tensors", align="right"),
        doc.Column("numbers", align="right", format=","),
        *doc.right("learning rate", "weight decay", *["L1"] * has_l1, "L2"),
    ]
    rows: list[list[doc.CellValue]] = [
        [
            each.group,
            each.tensors,
            each.numbers,
            f"{each.learning_rate:.4g}",
            f"{each.weight_decay:.4g}",
            *[f"{each.l1:.4g}"] * has_l1,
            f"{each.l2:.4g}",
        ]
        for each in first.groups
    ]
    recipes = ", ".join(each.recipe for each in (first, *alike))
    return doc.Table(
        columns,
        rows,
        f"How each group of parameters was trained: {recipes}.",
        note="The learning rate is that before the schedule; weight decay is decoupled from the gradient, L1 "
        "and L2 are penalties on the loss.",
        key=f"parameter-groups-{first.recipe}",
    )


def _treatment(group: ParameterGroup) -> tuple[float, ...]:
    return group.learning_rate, group.weight_decay, group.l1, group.l2
