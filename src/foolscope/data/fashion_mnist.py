"""Fashion-MNIST: 70,000 photographs of clothing, 28×28 gray."""

from pathlib import Path
from typing import Literal

from foolscope.data.idx import idx_files, read_idx_folder
from foolscope.data.settings import DatasetSettings, OfficialValidation
from foolscope.data.source import DataSource, Facts
from foolscope.data.splits import Parts

__all__ = ["FASHION_MNIST", "FashionMnistSettings"]

_FOLDER = "FashionMNIST/raw"
_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class FashionMnistSettings(DatasetSettings):
    """Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747)."""

    name: Literal["fashion-mnist"] = "fashion-mnist"
    validation: OfficialValidation = "stratified"


def _read(settings: FashionMnistSettings, root: Path) -> Parts:
    return read_idx_folder(root / _FOLDER, settings.name, _CLASSES)


FASHION_MNIST = DataSource(
    settings=FashionMnistSettings,
    read=_read,
    facts=Facts("clothing (Xiao et al. 2017)", 10, (1, 28, 28), 60_000, 10_000),
    files=idx_files(
        _FOLDER,
        (
            # The distributor's own address has no https; the digest below is what vouches for the bytes.
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        {
            "train-images-idx3-ubyte": (
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            "train-labels-idx1-ubyte": (
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            "t10k-images-idx3-ubyte": (
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            "t10k-labels-idx1-ubyte": (
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        },
    ),
)
