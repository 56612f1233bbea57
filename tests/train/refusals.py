"""How a file without a usable generator is refused."""

from pathlib import Path

import pytest
import torch

from sr_runtime.errors import ModelError
from sr_train.checkpoint import load_generator


def refusal(path: Path) -> str:
    """The message, checked to be one line that begins with the file's name."""
    with pytest.raises(ModelError) as caught:
        load_generator(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def refusal_of(content: object, tmp_path: Path) -> str:
    torch.save(content, tmp_path / "model.pth")
    return refusal(tmp_path / "model.pth")
