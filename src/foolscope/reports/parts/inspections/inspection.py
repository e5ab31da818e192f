"""The report of the inspection of one model: its answers first, then its layers."""

import numpy as np

from foolscope.core.settings import finite_or_none
from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.parts.training import ClassRecord
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.inspection.answers.confusion import Confusion
from foolscope.reports import document as doc
from foolscope.reports.parts.inspections.answers import (
    calibration_blocks,
    calibration_sentence,
    edges_sentence,
    input_gradient_blocks,
)
from foolscope.reports.parts.inspections.attributions import (
    attribution_blocks,
    attributions_sentence,
    sanity_blocks,
    sanity_sentence,
)
from foolscope.reports.parts.inspections.layers import (
    filter_blocks,
    flow_blocks,
    flow_sentence,
    time_sentence,
    weight_blocks,
    weights_sentence,
)
from foolscope.reports.parts.inspections.modes import mode_blocks, mode_sentence
from foolscope.reports.parts.inspections.spectrum import compression_blocks, spectrum_blocks
from foolscope.reports.parts.inspections.tree import tree_blocks, tree_sentence
from foolscope.reports.parts.mistakes import class_blocks, matrix_blocks
from foolscope.reports.parts.pictures import Arrays
from foolscope.reports.phrases import one_or_many
from foolscope.statistics.classification import f1_by_class, precision_by_class, recall_by_class

__all__ = ["inspection_document", "inspection_sections", "inspection_sentences"]


def inspection_sentences(record: ModelInspection) -> list[str]:
    """Summarize each part that was inspected in a sentence or two."""
    said = []
    if record.accuracy is not None:
        of_dataset = f" of {record.facts['dataset']}" if record.facts.get("dataset") else ""
        share = number(record.accuracy, POINTS)
        said.append(f"Accuracy {share} % on {one_or_many(record.images, _image(record))}{of_dataset}.")
    if record.tree is not None:
        said.append(tree_sentence(record.tree))
    if record.calibration is not None:
        said.append(calibration_sentence(record.calibration))
    if record.modes is not None:
        said.append(mode_sentence(record.modes))
    if record.input_gradients is not None:
        said.append(edges_sentence(record.input_gradients))
    if record.attributions is not None:
        said.append(attributions_sentence(record.attributions))
    if record.attribution_sanity is not None:
        said.append(sanity_sentence(record.attribution_sanity))
    if record.weights:
        said.append(weights_sentence(record.weights))
    if record.flow:
        said.append(flow_sentence(record))
    if record.time_flow is not None:
        said.append(time_sentence(record.time_flow))
    return said


def inspection_document(record: ModelInspection, arrays: Arrays) -> doc.Document:
    """Build the report of the inspection of one model, with the pixels and weights that it names by key."""
    found = doc.Bullets([*inspection_sentences(record), *record.notes])
    facts = [(name.capitalize(), value) for name, value in record.facts.items() if value]
    return doc.Document(
        f"Inside {record.name}",
        "How does the model answer, and what have its layers learned?",
        lead=[*(doc.Notice(doubt) for doubt in record.doubts), found],
        sections=inspection_sections(record, arrays),
        facts=[*facts, ("Images", f"{record.images:,}")],
    )


def inspection_sections(record: ModelInspection, arrays: Arrays) -> list[doc.Section]:
    """Build one section for each part of a model that was inspected."""
    blocks: dict[str, list[doc.Block]] = {}
    if record.confusion is not None:
        confusion = record.confusion
        blocks["Mistakes"] = [
            *matrix_blocks(record.name, confusion.classes, confusion.counts, _image(record)),
            *class_blocks(record.name, _by_class(confusion), _image(record)),
        ]
    if record.tree is not None:
        blocks["Prototype tree"] = tree_blocks(record.tree, arrays)
    if record.calibration is not None:
        blocks["Calibration"] = calibration_blocks(record.calibration)
    if record.modes is not None:
        blocks["Training and evaluation mode"] = mode_blocks(record.modes)
    if record.input_gradients is not None:
        blocks["Input gradients"] = input_gradient_blocks(record.input_gradients, arrays)
    if record.attributions is not None:
        blocks["Attributions"] = attribution_blocks(record.attributions, arrays)
    if record.attribution_sanity is not None:
        blocks["Sanity of attributions"] = sanity_blocks(record.attribution_sanity)
    if record.filters is not None:
        blocks["Filters"] = filter_blocks(record.filters, arrays)
    if record.weights:
        blocks["Weights"] = weight_blocks(record.weights)
    if record.flow:
        blocks["Gradient flow"] = flow_blocks(record)
    if record.spectra:
        blocks["Spectra"] = spectrum_blocks(record)
    if record.compression:
        blocks["At lower ranks"] = compression_blocks(record)
    return [doc.Section(title, each) for title, each in blocks.items() if each]


def _by_class(confusion: Confusion) -> list[ClassRecord]:
    """Return how well each class is recognized; nothing of a record that has no areas."""
    counts = np.array(confusion.counts)
    scores = [score(counts).tolist() for score in (recall_by_class, precision_by_class, f1_by_class)]
    rows = zip(confusion.classes, counts.sum(axis=1).tolist(), *scores, confusion.auc, strict=False)
    return [
        ClassRecord(
            name=name,
            images=images,
            recall=(finite_or_none(recall), None, None),
            precision=(finite_or_none(precision), None, None),
            f1=(finite_or_none(f1), None, None),
            auc=(auc, None, None),
        )
        for name, images, recall, precision, f1, auc in rows
    ]


def _image(record: ModelInspection) -> str:
    return f"{record.facts['split']} image" if record.facts.get("split") else "image"
