"""The prototype tree of a model in a report: the whole tree, and the paths of some images."""

from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.inspection.tree.records import TreeInspection, TreePath
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.pictures import Arrays
from foolscope.reports.phrases import one_or_many

__all__ = ["tree_blocks", "tree_sentence"]


def tree_sentence(record: TreeInspection) -> str:
    """Say how large the tree is, and how often its most likely path decides."""
    pruned = f" ({record.pruned} pruned)" if record.pruned else ""
    return (
        f"The tree has {one_or_many(record.decisions, 'node')}{pruned}, at most {record.depth} on a path; "
        f"the leaf at the end of the most likely path gives the predicted class for "
        f"{number(record.agreement, POINTS)} % of the images."
    )


def tree_blocks(record: TreeInspection, arrays: Arrays) -> list[doc.Block]:
    """Show the tree, and the paths of rightly and wrongly classified images."""
    if not all(node.image in arrays for node in record.nodes):
        return [doc.Paragraph(tree_sentence(record))]
    source = (
        "The patch is the training patch that the prototype was projected onto"
        if record.projected
        else "The prototypes were not projected; the patch is the nearest one of the inspected images"
    )
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                tree_sentence(record),
                " Each node compares the nearest patch of the image with its prototype, similarity "
                "s = exp(−d) with the Euclidean distance d, and sends the image up with probability s (",
                doc.Reference("tree"),
                ").",
            )
        ),
        doc.Figure(
            draw.later(draw.prototype_tree, record, arrays),
            f"The prototype tree, from the root on the left. {source}: its image with the patch in a box, "
            "the patch enlarged, and the class of the image. Branches are as wide as the share of the "
            "inspected images that take them; each leaf shows its likeliest class, the probability of that "
            "class, and the share of the images that end there.",
            f"A binary tree of {one_or_many(record.decisions, 'node')} with a patch of an image at each.",
            key="tree",
        ),
    ]
    blocks += _paths(record, record.right, arrays, "right")
    return [*blocks, *_paths(record, record.wrong, arrays, "wrong")]


def _paths(record: TreeInspection, paths: list[TreePath], arrays: Arrays, which: str) -> list[doc.Block]:
    if not paths or not all(path.image in arrays for path in paths):
        return []
    kind = "rightly" if which == "right" else "wrongly"
    return [
        doc.Figure(
            draw.later(draw.tree_paths, paths, record, arrays),
            f"The most likely path of {kind} classified images. Under each image its class, and the class "
            "and probability that the whole tree predicts. At each step the patch that the node looks for, "
            "the image with the patch nearest to it in a box, and their similarity: above ½ the image "
            "contains the patch. On the right the distribution of the leaf, below the path's probability.",
            f"Paths of {one_or_many(len(paths), 'image')} through the tree, step by step.",
            key=f"tree-paths-{which}",
        )
    ]
