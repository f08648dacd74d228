"""What files tell users to type."""

from pathlib import Path

TOP = Path(__file__).parents[2]


def test_no_text_tells_to_install_dfd_from_an_index() -> None:
    """It is on none: an extra is installed in the clone, as '.[lite]'."""
    files = [TOP / "README.md", *TOP.glob("docs/**/*.md"), *TOP.glob("configs/**/*.yaml")]
    assert len(files) > 50
    assert [file.name for file in files if "'dfd[" in file.read_text(encoding="utf-8")] == []
