"""The fuzzing targets, on the files that fuzzing begins with."""

import pytest

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
