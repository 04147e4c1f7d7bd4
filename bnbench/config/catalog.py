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
    test_classes: tuple[int, ...] = (1_000,) * 10  # test images of each class
    # The MD5s of the four files without gzip, where they are known: training images and labels, test images and labels.
    # Without them, only packed files can be checked.
    unpacked: tuple[str, ...] = ()


MNIST_DIGITS = (980, 1_135, 1_032, 1_010, 982, 892, 958, 1_028, 974, 1_009)  # of the test images
DATASETS = {
    "mnist": DatasetRow(
        "MNIST",
        60_000,
        10_000,
        torchvision="MNIST",
        test_classes=MNIST_DIGITS,
        unpacked=(
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "mnist5k": DatasetRow("5,000 images of MNIST", 4_000, 1_000, torchvision=None, test_classes=(100,) * 10),
    "fashion_mnist": DatasetRow(
        "Fashion-MNIST",
        60_000,
        10_000,
        torchvision="FashionMNIST",
        unpacked=(  # as others publish them; our tests have no such file
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    "kmnist": DatasetRow("Kuzushiji-MNIST", 60_000, 10_000, torchvision="KMNIST"),
}
