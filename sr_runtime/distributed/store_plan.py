"""The names of sources and results where either are in an object store."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PosixPath, PurePosixPath
from tempfile import TemporaryDirectory

from sr_runtime.batch.job import Failure, Job
from sr_runtime.cli.collisions import with_distinct_names
from sr_runtime.cli.inputs import Found, find_images
from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import Pipes
from sr_runtime.cli.plan import Plan
from sr_runtime.distributed import stores
from sr_runtime.distributed.tasks import Task
from sr_runtime.errors import ArgumentError, SRError, StorageError
from sr_runtime.image import IMAGE_SUFFIXES

__all__ = ["plan_stores"]

LOOKED_INTO = (".gif", ".webp", ".tif", ".tiff")
"""Kinds of files whose results are named by what is in them: a still or an animation."""


class Address(PosixPath):
    """The path of an object, which is written with the two slashes that paths have as one."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)


def plan_stores(
    inputs: Sequence[str], output: str | None, naming: Naming, *, skip_existing: bool
) -> tuple[Plan, list[Task]]:
    """The plan for what `inputs` name, and the tasks in its order.

    Raises:
        ArgumentError: The results have no place.
        StorageError: The store does not list what is in it.
    """
    if output is None:
        raise ArgumentError("results need a place: name a folder, as -o s3://bucket/large/")
    found = Found()
    sources = [source for word in inputs for source in _sources(word, found)]
    place = _path(output)
    if len(sources) == 1 and place.suffix in IMAGE_SUFFIXES:
        address = sources[0][0]
        named = [(Job.of(_path(address), place), address, output, stores.state_of(output))]
    else:
        named = _named(sources, output, naming, found)
    kept = [job for job, _, _, before in named if skip_existing and before]
    left = [each for each in named if not (skip_existing and each[3])]
    plan = Plan(
        jobs=[job for job, *_ in left],
        failures=found.failures,
        kept=kept,
        kept_as="existing",
        left_out=found.left_out_text(),
    )
    return plan, [
        Task(source=source, target=target, before=before) for _, source, target, before in left
    ]


def _named(
    sources: Sequence[tuple[str, str]], output: str, naming: Naming, found: Found
) -> list[tuple[Job, str, str, str]]:
    """Each job, its source and its result as they are opened, and the state of the result."""
    place, addresses, jobs = _path(output), dict[Path, str](), list[Job]()
    for address, name in sources:
        source = _path(address)
        addresses[source] = address
        try:
            result = _result_name(address, name, naming)
            jobs.append(Job.of(source, (place / name).with_name(result)))
        except SRError as error:
            found.failures.append(Failure(source, error))
    jobs, failures = with_distinct_names(jobs, naming)
    found.failures += failures
    before = stores.files_below(output)
    names = [job.target.relative_to(place).as_posix() for job in jobs]
    return [
        (job, addresses[job.source], stores.join(output, name), before.get(name, ""))
        for job, name in zip(jobs, names, strict=True)
    ]


def _path(place: str) -> Path:
    return Address(place.partition("?")[0]) if stores.is_address(place) else Path(place)


def _sources(word: str, found: Found) -> Iterator[tuple[str, str]]:
    """Each image that a word means, and its name in the folder of the results."""
    if not stores.is_address(word):
        with Pipes() as pipes:
            local = find_images([word.removeprefix(stores.LOCAL)], pipes, None)
        found.failures += local.failures
        found.left_out += local.left_out
        for source in local.sources:
            below = source.path.relative_to(source.root or source.folder)
            yield str(source.path.absolute()), below.as_posix()
        return
    if stores.state_of(word):
        yield word, PurePosixPath(word.partition("?")[0]).name
        return
    names = sorted(stores.files_below(word))
    if not names:
        raise StorageError(f"there is nothing of the name {word}")
    for name in names:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            yield stores.join(word, name), name
        else:
            found.left_out[suffix or "without a suffix"] += 1


def _result_name(address: str, name: str, naming: Naming) -> str:
    """The result's name; a file is fetched only where the name depends on what is in it."""
    below = PurePosixPath(name)
    if naming.template is None and below.suffix.lower() not in LOOKED_INTO:
        return naming.name(Path(below.parent), below.name, labelled=False)
    with TemporaryDirectory() as folder:
        stores.download(address, Path(folder, below.name))
        return naming.name(Path(folder), below.name, labelled=False)
