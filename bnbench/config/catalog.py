"""The datasets, a row each. To add one that torchvision reads as it reads MNIST, add its row. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetRow:
    """What is known of a dataset before it is read; data/datasets.py fetches it and checks its files."""

    title: str  # as people write it
    train_images: int
    test_images: int
    # The class in torchvision.datasets, with its mirrors and its files' MD5s; None: it comes with a package.
    torchvision: str | None
    shape: tuple[int, int, int] = (1, 28, 28)  # channels, height, width of an image
    classes: int = 10


DATASETS = {
    "mnist": DatasetRow("MNIST", 60_000, 10_000, torchvision="MNIST"),
    "mnist5k": DatasetRow("5,000 images of MNIST", 4_000, 1_000, torchvision=None),
    "fashion_mnist": DatasetRow("Fashion-MNIST", 60_000, 10_000, torchvision="FashionMNIST"),
    "kmnist": DatasetRow("Kuzushiji-MNIST", 60_000, 10_000, torchvision="KMNIST"),
}
