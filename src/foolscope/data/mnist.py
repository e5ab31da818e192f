"""MNIST: 70,000 handwritten digits, 28×28 gray."""

from pathlib import Path
from typing import Literal

from foolscope.data.idx import idx_files, read_idx_folder
from foolscope.data.settings import DatasetSettings, OfficialValidation
from foolscope.data.source import DataSource, Facts
from foolscope.data.splits import Parts

__all__ = ["MNIST", "MnistSettings"]

_FOLDER = "MNIST/raw"


class MnistSettings(DatasetSettings):
    """MNIST (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

    name: Literal["mnist"] = "mnist"
    validation: OfficialValidation = "stratified"


def _read(settings: MnistSettings, root: Path) -> Parts:
    return read_idx_folder(root / _FOLDER, settings.name, tuple("0123456789"))


MNIST = DataSource(
    settings=MnistSettings,
    read=_read,
    facts=Facts("handwritten digits (LeCun et al. 1998)", 10, (1, 28, 28), 60_000, 10_000),
    files=idx_files(
        _FOLDER,
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        {
            "train-images-idx3-ubyte": (
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            "train-labels-idx1-ubyte": (
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            "t10k-images-idx3-ubyte": (
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            "t10k-labels-idx1-ubyte": (
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        },
    ),
)
