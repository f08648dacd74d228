import sys
from pathlib import Path

import pytest

from dfd.errors import UserError
from dfd.training.log import _board


def test_a_lack_of_tensorboard_is_not_blamed_on_another_commands_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop trains detectors (trainer.tensorboard) and GANs (gan.tensorboard)."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="^tensorboard=true needs TensorBoard: pip install tensorboard$"):
        _board(tmp_path)
