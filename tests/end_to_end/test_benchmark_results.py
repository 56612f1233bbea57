"""The benchmarks' files of results."""

from collections.abc import Callable, Sequence

import pytest

from benchmarks import loader, quality, quality_per_cost, training


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (loader.main, ["-o"]),
        (training.main, ["-o"]),
        (quality_per_cost.main, ["-o"]),
        (quality.main, ["--model", "psnr", "--data", "absent", "--json"]),
    ],
    ids=["loader", "training", "quality_per_cost", "quality"],
)
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    main: Callable[[Sequence[str]], int], arguments: list[str], tmp_path, capsys
) -> None:
    assert main([*arguments, str(tmp_path / "absent" / "results.json")]) == 2
    assert f"the folder {tmp_path / 'absent'} does not exist" in capsys.readouterr().err
