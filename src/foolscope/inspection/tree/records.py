"""A prototype tree and paths through it, as they are stored and drawn."""

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["Box", "TreeInspection", "TreeLeaf", "TreeNode", "TreePath", "TreeStep"]


class Box(Settings):
    """The part of an image that a latent patch stands for, in pixels."""

    top: float
    left: float
    height: float
    width: float


class TreeNode(Settings):
    """A node that decides: does the image contain this patch? The pixels of its image are under ``image``."""

    node: int = Field(description="level by level from the root, 0; of the complete tree")
    yes: int = Field(description="the node or leaf of images that contain the patch")
    no: int
    share: float = Field(description="of the inspected images that reach it, in [0, 1]")
    similarity: float = Field(description="mean over the inspected images")
    image: str
    label: str = Field(description="class of the image that the patch is from")
    box: Box


class TreeLeaf(Settings):
    """A leaf, or the mixture of the leaves below a node that is too deep to be drawn."""

    node: int
    share: float
    distribution: list[float] = Field(description="probability of each class")
    decisions: int = Field(0, description="nodes below it that are not drawn")


class TreeStep(Settings):
    """The decision of one node for one image."""

    node: int
    similarity: float
    box: Box = Field(description="the nearest patch of the image")


class TreePath(Settings):
    """The most likely decisions for one image; its pixels are in the arrays under ``image``."""

    image: str
    label: str
    predicted: str
    probability: float = Field(description="of the predicted class, by the whole tree")
    steps: list[TreeStep]
    way: float = Field(description="probability of this path, the product of its decisions")
    leaf: list[float] = Field(description="the distribution at its end")


class TreeInspection(Settings):
    """A prototype tree, whose pruned parts are gone, and the paths of some images."""

    classes: list[str]
    depth: int = Field(description="decisions on the longest path")
    nodes: list[TreeNode] = Field(description="those of the first levels, and those on the paths")
    leaves: list[TreeLeaf]
    decisions: int = Field(description="nodes of the whole tree")
    pruned: int = Field(description="nodes of the complete tree that were removed")
    projected: bool = Field(description="whether patches are training patches; else of inspected images")
    agreement: float = Field(description="share of images whose most likely path ends at the same class")
    right: list[TreePath]
    wrong: list[TreePath]

    def node(self, number: int) -> TreeNode | None:
        """Return a node by its number; None if it is not among those that are drawn."""
        return next((each for each in self.nodes if each.node == number), None)
