"""What a finished run can be resumed with, and what is refused in one sentence."""

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import PIL.Image
import pytest
from safetensors.torch import load_file

import sr_train
from sr_runtime.errors import SRError
from sr_runtime.storage.atomic import atomic_path
from sr_train import state_file
from sr_train.__main__ import main
from sr_train.data.build.prepare import prepare
from sr_train.stages import PsnrStage
from sr_train.state_file import load_state
from tests.train.resumable_run import rows, write_config_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """A finished run of 18 steps, not to be changed; its configuration is beside it."""
    folder = tmp_path_factory.mktemp("finished")
    sr_train.fit(write_config_of(folder / "config.yaml", data_root), folder / "run")
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `fit` says to arguments that it refuses."""
    assert main(["fit", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_finished_run_can_be_made_longer_and_not_shorter(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    psnr, esrgan, both = (
        load_file(run / "weights" / f"{name}.safetensors")
        for name in ("psnr", "esrgan", "interpolated")
    )
    for name, tensor in both.items():
        expected = 0.2 * psnr[name].double() + 0.8 * esrgan[name].double()
        assert (tensor.double() - expected).abs().max() < 1e-6
    with PIL.Image.open(run / "comparison.png") as picture:
        assert picture.width > 6 * 64  # LR, bicubic, three networks, HR

    for field, length, limit in (
        ("training.num_epoch", 2, "9 mini-batches of that stage; give 3 or more"),
        ("training.num_steps", 8, "9 mini-batches of that stage; give 9 or more"),
        ("pretraining.num_epoch", 4, "finished that stage after 9 mini-batches"),
        ("pretraining.num_steps", 10, "finished that stage after 9 mini-batches"),
    ):
        said = refused(capsys, "--resume", str(run), f"--{field}", str(length))
        assert f"{field} cannot become {length}" in said
        assert limit in said
    assert main(["fit", "--resume", str(run), "--training.num_steps", "10"]) == 0
    assert int(rows(run)[-1]["step"]) == 19
    assert main(["fit", "--resume", str(run), "--training.num_epoch", "4"]) == 0
    assert int(rows(run)[-1]["step"]) == 21


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_the_state_and_say_how_to_continue(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hears_signals: None,
    number: signal.Signals,
) -> None:
    step: Callable[..., object] = PsnrStage.step

    def signalled(*arguments: object) -> object:
        signal.raise_signal(number)
        return step(*arguments)

    monkeypatch.setattr(PsnrStage, "step", signalled)
    folder = tmp_path / "run"
    words = ["fit", "--config", str(finished.parent / "config.yaml"), "--run", str(folder)]
    assert main(words) == 128 + number
    said = capsys.readouterr().out
    assert f"fit --resume {folder}" in said
    assert "state of step 1 is saved" in said
    assert load_state(folder / "state.pt")["position"]["step"] == 1


def test_a_full_disk_leaves_the_former_state_intact(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")

    @contextlib.contextmanager
    def full(target: Path) -> Iterator[Path]:
        with atomic_path(target) as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            yield temporary

    before = (run / "state.pt").read_bytes()
    monkeypatch.setattr(state_file, "atomic_path", full)
    said = refused(capsys, "--resume", str(run), "--training.num_epoch", "4")
    assert f"{run / 'state.pt'}: " in said
    assert f"--resume {run}" in said
    assert (run / "state.pt").read_bytes() == before
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == [".lock"]


def test_a_run_continues_only_with_the_images_it_was_trained_on(
    run: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(data_root, root)
    image = root / "patches/all/hr.bin"
    content = bytearray(image.read_bytes())
    content[1000] ^= 1
    image.write_bytes(content)
    said = refused(capsys, "--resume", str(run), "--data_root", str(root))
    assert f"{image}: damaged" in said

    photos = tmp_path / "patches"
    photos.mkdir()
    shutil.copy(next(iter((data_root.parent / "patches").iterdir())), photos)
    shutil.rmtree(root / "patches")
    prepare(photos, root=root)
    said = refused(capsys, "--resume", str(run), "--data_root", str(root))
    assert "pretraining.train_datasets" in said


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def other_discriminator(path: Path) -> None:
    path.write_text(path.read_text().replace("unet_channels: 4", "unet_channels: 8"))


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no state": ("state.pt", Path.unlink, "state.pt"),
    "half a state": ("state.pt", cut, "--init"),
    "the PSNR stage's weights are gone": ("weights/psnr.safetensors", Path.unlink, "put it back"),
    "other weights": (
        "weights/psnr.safetensors",
        lambda path: shutil.copy(path.with_stem("esrgan"), path),
        "put it back",
    ),
    "no configuration": ("config.yaml", Path.unlink, "is missing"),
    "a configuration for another network": (
        "config.yaml",
        other_discriminator,
        "discriminator cannot change",
    ),
    "a configuration that is no text": (
        "config.yaml",
        lambda path: path.write_bytes(b"\xff\xfe\0"),
        "UTF-8",
    ),
    "metrics of something else": (
        "metrics.csv",
        lambda path: path.write_text("step,loss\n1,x\n"),
        "put it back",
    ),
    "metrics that are no text": (
        "metrics.csv",
        lambda path: path.write_bytes(b"\xff\0,\n1,2\n"),
        "put it back",
    ),
}


@pytest.mark.parametrize(("name", "damage", "fact"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_run_is_refused_and_none_of_its_weights_is_replaced(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[Path], object],
    fact: str,
) -> None:
    damage(run / name)
    before = {path: path.read_bytes() for path in (run / "weights").iterdir()}
    said = refused(capsys, "--resume", str(run))
    assert str(run) in said
    assert fact in said
    assert {path: path.read_bytes() for path in (run / "weights").iterdir()} == before


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        (("--init", "sr_export/calibration/coffee.png"), "coffee.png"),
        (("--batch_size", "0"), "batch_size is 0"),
    ],
)
def test_a_run_that_cannot_start_leaves_no_folder_behind(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    fact: str,
) -> None:
    words = ("--config", str(finished.parent / "config.yaml"), "--run", str(tmp_path / "new"))
    assert fact in refused(capsys, *words, *options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["state.pt", "weights/psnr.safetensors", "samples/a.png"])
def test_a_new_run_replaces_nothing_of_another(
    finished: Path, tmp_path: Path, data_root: Path, name: str
) -> None:
    config = write_config_of(tmp_path / "config.yaml", data_root)
    kept = tmp_path / "run" / name
    kept.parent.mkdir(parents=True)
    shutil.copy(finished / "config.yaml", kept)
    with pytest.raises(SRError, match=r"run: .*another name"):
        sr_train.fit(config, tmp_path / "run")
    assert kept.read_bytes() == (finished / "config.yaml").read_bytes()


def test_a_new_run_does_not_replace_the_users_configuration(
    tmp_path: Path, data_root: Path
) -> None:
    path = tmp_path / "run" / "config.yaml"
    path.parent.mkdir()
    config = write_config_of(path, data_root)
    before = path.read_bytes()
    with pytest.raises(SRError, match=rf"^{path}: .*rename it"):
        sr_train.fit(config, path.parent)
    assert path.read_bytes() == before
