"""What may show the progress of many images."""

__all__ = ["NO_BAR", "Bar"]


class Bar:
    """Shows nothing. Any thread may call it, with the number of a job."""

    def start(self, number: int) -> None:
        """An image is begun; it may still be loading."""

    def tiles(self, number: int, done: int, total: int) -> None:
        """`done` of its `total` tiles are done."""

    def writing(self, number: int, done: int, total: int) -> None:
        """Its tiles are done, and `done` of `total` parts of its file are written."""

    def finish(self, number: int, *, failed: bool) -> None:
        """It is upscaled, or cannot be; its result may still be written."""

    def skip(self, number: int) -> None:
        """It is not begun, since it is done already or cannot be."""


NO_BAR = Bar()
