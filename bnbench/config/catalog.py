"""The datasets, one row each. No torch here.

To add a dataset that torchvision reads in the way it reads MNIST, add a row.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetRow:
    """What is known about a dataset before it is read. data/datasets.py fetches it and checks its files."""

    title: str  # for people to read
    train_images: int
    test_images: int
    # The class in torchvision.datasets, which has the mirrors and the files' MD5s. None: a package ships the data.
    torchvision: str | None
    shape: tuple[int, int, int] = (1, 28, 28)  # of an image: channels, height, width
    classes: int = 10


DATASETS = {
    "mnist": DatasetRow("MNIST", 60_000, 10_000, torchvision="MNIST"),
    "mnist5k": DatasetRow("5,000 images of MNIST", 4_000, 1_000, torchvision=None),
    "fashion_mnist": DatasetRow("Fashion-MNIST", 60_000, 10_000, torchvision="FashionMNIST"),
    "kmnist": DatasetRow("Kuzushiji-MNIST", 60_000, 10_000, torchvision="KMNIST"),
}
