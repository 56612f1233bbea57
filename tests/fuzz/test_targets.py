"""The fuzzing targets, on the files that fuzzing begins with."""

import pytest

from tests.fuzz.run import ended_well, reason
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS, accepts

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::Warning:PIL")


def test_every_target_has_seeds() -> None:
    assert SEEDS.keys() == TARGETS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds_and_refuses_what_is_cut_off(name: str) -> None:
    for seed in SEEDS[name]():
        assert accepts(TARGETS[name], seed)
        for length in range(0, len(seed), max(1, len(seed) // 8)):
            accepts(TARGETS[name], seed[:length])


EARLY_ENDS = {
    "an exception": (
        "#2 INITED\n\n === Uncaught Python exception: ===\nValueError: 7\n\n==12== ERROR: exit",
        "exit code 77: Uncaught Python exception: ===\nValueError: 7",
    ),
    "too much time": (
        "#2 INITED\n==12== ERROR: libFuzzer: timeout after 20 seconds\n    #0 0x55",
        "exit code 77: ==12== ERROR: libFuzzer: timeout after 20 seconds\n    #0 0x55",
    ),
    "no start": (
        "\nTraceback (most recent call last):\nImportError: x",
        "exit code 77: Traceback (most recent call last):\nImportError: x",
    ),
    "nothing that is known": (
        "#2 INITED\nI cannot go on",
        "exit code 77: #2 INITED\nI cannot go on",
    ),
}


@pytest.mark.parametrize(("log", "said"), EARLY_ENDS.values(), ids=EARLY_ENDS)
def test_a_run_that_ends_early_is_told_with_its_reason(log: str, said: str) -> None:
    assert reason(log, 77) == said


@pytest.mark.parametrize(
    ("log", "code", "well"),
    [
        ("Done 5184 runs in 12 second(s)\nstat::", 0, True),
        ("Done 5184 runs in 12 second(s)\nstat::", 255, True),
        ("Done 5184 runs in 12 second(s)\nstat::", 77, False),
        ("Done 5184 runs in 12 second(s)\nstat::", -11, False),
        ("#4096 pulse", 255, False),
    ],
)
def test_only_a_lost_exit_code_is_made_up_for_by_what_the_fuzzer_says(
    log: str, code: int, well: bool
) -> None:
    assert ended_well(log, code) == well
