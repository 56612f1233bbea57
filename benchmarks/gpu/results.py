"""The result file, which is written after every measurement and completed by later runs."""

import json
from pathlib import Path
from typing import Any

from benchmarks.commit import commit
from benchmarks.gpu.process import Event
from benchmarks.json_file import write_json
from sr_runtime.errors import ArgumentError

__all__ = ["Results"]


class Results:
    """`content` is what the file holds:

    runs: The commit and the machine of each run of the command.
    parts: By name, what a part `found` and `left_out`, in which of the `runs`, in how many
        `seconds`, and the reason why it `ended` early, null if it did not.
    """

    def __init__(self, output: Path, network: str, device: str) -> None:
        """Read earlier results. Raises ArgumentError if they are of another network or device."""
        self._output = output
        self.content: dict[str, Any] = {
            "network": network, "device": device, "runs": [], "parts": {}
        }  # fmt: skip
        if output.exists():
            try:
                earlier = json.loads(output.read_text(encoding="utf-8"))
                same = (earlier["network"], earlier["device"]) == (network, device)
            except (ValueError, KeyError, TypeError) as error:
                raise ArgumentError(
                    "this file holds no results of this benchmark: name another", path=output
                ) from error
            if not same:
                raise ArgumentError(
                    f"this file holds results of {earlier['network']} on {earlier['device']}: name "
                    f"another for {network} on {device}",
                    path=output,
                )
            self.content = earlier

    def begin_run(self, machine: dict[str, Any]) -> None:
        """Note the machine. Raises ArgumentError if earlier runs had another GPU."""
        gpus = {run.get("gpu") for run in [*self.content["runs"], machine]}
        if len(gpus) > 1:
            raise ArgumentError(
                f"this file would hold results of {' and '.join(map(str, sorted(gpus, key=str)))}: "
                "name another",
                path=self._output,
            )
        self.content["runs"].append({"commit": commit(), **machine})
        self._save()

    def found(self) -> dict[str, dict[str, Any]]:
        """What each part has found, by name."""
        return {name: part["found"] for name, part in self.content["parts"].items()}

    def is_finished(self, part: str) -> bool:
        row = self.content["parts"].get(part)
        return row is not None and row["ended"] is None

    def begin(self, part: str) -> None:
        run = len(self.content["runs"]) - 1
        ended = "the benchmark was stopped during this part"
        self.content["parts"][part] = {"run": run, "found": {}, "left_out": {}, "ended": ended}
        self._save()

    def add(self, part: str, event: Event) -> None:
        kind = "found" if event.kind == "found" else "left_out"
        self.content["parts"][part][kind][event.what] = event.value
        self._save()

    def end(self, part: str, seconds: float, reason: object) -> None:
        """Note why a part ended early; None: it is finished."""
        self.content["parts"][part] |= {"seconds": round(seconds, 1), "ended": reason}
        self._save()

    def skip(self, part: str, reason: str) -> None:
        """Note why a part was not begun; what an earlier run has found of it stays."""
        row = self.content["parts"].get(part, {"run": None, "found": {}, "left_out": {}})
        self.content["parts"][part] = row | {"ended": reason}
        self._save()

    def _save(self) -> None:
        write_json(self._output, self.content)
