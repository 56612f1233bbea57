"""Where real images and weights are, unless SR_DATA says otherwise."""

import os
from pathlib import Path

__all__ = ["DATA"]

DATA = Path(os.environ.get("SR_DATA", Path(__file__).parents[2] / "shared" / "data"))
