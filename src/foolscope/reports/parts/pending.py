"""Report parts of single-file rooms (to be moved into them)."""

from foolscope.experiments.parts.demonstrations.records import DemonstrationRecord
from foolscope.experiments.parts.inspections.records import StudyInspection
from foolscope.experiments.parts.pending import ChecksRecord
from foolscope.experiments.parts.trace_records import TraceRecord
from foolscope.inspection.graph.model_graph import ModelGraph
from foolscope.reports.document import Section
from foolscope.reports.parts.checks import check_section
from foolscope.reports.parts.demonstrations.section import demonstration_section, demonstration_sentence
from foolscope.reports.parts.graphs import graph_blocks
from foolscope.reports.parts.inspections.section import inspected_section, inspected_sentence
from foolscope.reports.parts.part import PartReport
from foolscope.reports.parts.traces import trace_section, trace_sentence
from foolscope.reports.phrases import full_stop

ATTACK_TRACES = PartReport[TraceRecord](
    sections=lambda records, shown: [Section("Robustness", [trace_section(each) for each in records])],
    sentences=lambda records, shown: [trace_sentence(each) for each in records],
    doubts=lambda records: [
        f"{each.recipe}: {full_stop(doubt)}" for each in records for doubt in each.doubts
    ],
)
CHECKS = PartReport[ChecksRecord](
    sections=lambda records, shown: [
        check_section(each.checks, each.range_tests, len(shown.record.classes)) for each in records
    ],
    doubts=lambda records: [
        f"{check.recipe} failed a check ({check.check}): {full_stop(check.sentence)}"
        for each in records
        for check in each.checks
        if not check.passed
    ],
)
INSPECTIONS = PartReport[StudyInspection](
    sections=lambda records, shown: [inspected_section(each, shown.arrays) for each in records],
    sentences=lambda records, shown: [inspected_sentence(each) for each in records],
    doubts=lambda records: [
        f"{each.recipe}: {full_stop(doubt)}" for each in records for doubt in each.doubts
    ],
)
GRAPHS = PartReport[ModelGraph](
    sections=lambda records, shown: [Section("The classifiers", graph_blocks(records))]
)
DEMONSTRATED = PartReport[DemonstrationRecord](
    sections=lambda records, shown: [demonstration_section(each) for each in records],
    sentences=lambda records, shown: [demonstration_sentence(each) for each in records],
)
