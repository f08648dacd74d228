"""Data sets."""

from dataclasses import dataclass, field

from dfd.config.setting import setting


@dataclass
class DataConfig:
    """Which images, and how they are split."""

    name: str = setting("???", "name of the data set; the manifest is kept in <root>/prepared/<name>")
    module: str = setting("folder", "reader of the raw layout", choices=("demo", "yonsei", "real140k", "folder"))
    source: str | None = setting(None, "raw images: a folder, a .zip or (folder) a .csv; default <root>/raw/<name>")
    root: str = setting("data", "folder that holds raw and prepared data")
    fractions: list[float] = setting([0.7, 0.15, 0.15], "shares of train, val and test", low=0, high=1)
    keep_splits: bool = setting(False, "keep the splits that the data set was published with")
    split_seed: int = setting(0, "seed of the split", low=0)
    near_duplicate_bits: int = setting(
        32, "images whose 256-bit perceptual hashes differ in at most this many bits form one group", low=0, high=64
    )
    max_pixels: int = setting(64_000_000, "an image with more pixels is not decoded", low=1)
    csv_path: str = setting("path", "folder: column of a .csv that holds the image's path")
    csv_label: str = setting("label", "folder: column of a .csv that holds the label")
    csv_fake: str = setting("1", "folder: value in the label column that means fake")
    csv_source: str | None = setting(None, "folder: column of a .csv that holds the source")
    patch_size: int = setting(128, "demo: side of a patch in pixels", low=32, high=256)
    patches: int = setting(1200, "demo: number of patches in all, half of them real", low=60, high=100_000)
    own: str = setting(
        "all", "which of its own images are used: real ones alone, with fakes added", choices=("all", "real")
    )
    min_side: int = setting(0, "leave out images of its own with a side below this many pixels", low=0)
    add: list[str] = setting(
        [],
        "what to add: the name of a prepared data set, real:NAME for its real images alone, or gan:RUN for the samples "
        "of a run of `dfd gan generate`, `gan train` or `gan redraw`",
    )


@dataclass
class PrepareConfig:
    """Read raw images, verify them, group duplicates, split, and write the manifest."""

    name: str = setting("${data.name}", "name of the run; outputs/data-prepare/<name>/<time> holds its log")
    data: DataConfig = field(default_factory=DataConfig)
    workers: int = setting(-1, "processes that read images; -1: one a core", low=-1, high=256)
    force: bool = setting(False, "prepare again even if nothing changed")
