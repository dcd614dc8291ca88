"""From files and folders to restored ones, planned as a whole and then done: what `restore photos` and Python call."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from restore.corruption import Identity
from restore.devices import InferenceChoice
from restore.errors import UsageError
from restore.images.files import PlannedImage, check_target_folder, plan_outputs, remove_partial_files
from restore.images.search import Found, search
from restore.inference.batch import restore_files
from restore.inference.journal import JOURNAL_FILE, Decision, Journal, state_of
from restore.inference.outcome import BatchOptions, PhotoResult
from restore.inference.restorer import Restorer
from restore.models.bundle import ModelCard

__all__ = ["PhotoPlan", "plan_photos", "restore_photos"]


@dataclass(frozen=True)
class PhotoPlan:
    """What a run will do; nothing has been written for it.

    Attributes:
        out: The target folder.
        plans: Every picture and its result.
        found: What the search brought to light.
    """

    out: Path
    plans: Sequence[PlannedImage]
    found: Found

    def decisions(self, restorer: Restorer, options: BatchOptions) -> list[tuple[PlannedImage, Decision]]:
        """What would be done to each picture, as the journal has it; nothing is written.

        Raises:
            UsageError: As `run`.
        """
        self._check(restorer, options)
        return self._decisions(restorer, options)

    def _decisions(self, restorer: Restorer, options: BatchOptions) -> list[tuple[PlannedImage, Decision]]:
        with Journal(self.out, _work(restorer, options), write=False) as journal:
            return [(plan, _decide(journal, plan, options)) for plan in self.plans]

    def limited(self, restorer: Restorer, options: BatchOptions, limit: int) -> "PhotoPlan":
        """The part of it that ends after so many pictures that were not done before.

        Raises:
            UsageError: As `run`.
        """
        plans = []
        for plan, decision in self.decisions(restorer, options):
            limit -= decision.work
            if limit < 0:
                break
            plans.append(plan)
        return replace(self, plans=plans)

    def run(self, restorer: Restorer, options: BatchOptions) -> Generator[PhotoResult]:
        """Do it.

        Args:
            restorer: What restores.
            options: How.

        Returns:
            What could not be searched, then one result per picture, in order, as they are done.

        Raises:
            UsageError: A bundle that gives pictures back and restores nothing, one that fills in without masks, masks
                for one that does not, or a mask that is a photo to restore.
            OutputError: Results would land in the folder of masks; with the first result: the target folder cannot be
                written, has too little room, or another run is writing there. Nothing has been written then.
        """
        self._check(restorer, options)
        return self._run(restorer, options)

    def _check(self, restorer: Restorer, options: BatchOptions) -> None:
        _check(restorer, options)
        if options.masks is not None:
            options.masks.check(self.plans)

    def _run(self, restorer: Restorer, options: BatchOptions) -> Generator[PhotoResult]:
        needed = sum(_size(plan.source) for plan, decision in self._decisions(restorer, options) if decision.work)
        check_target_folder(self.out, needed)
        with Journal(self.out, _work(restorer, options)) as journal:
            folders = {plan.target.parent for plan in self.plans} | {self.out}
            if not any(Journal.is_held(folder) for folder in self.out.absolute().parents):
                remove_partial_files(folder for folder in folders if not self._is_of_another_run(folder))
            for problem in self.found.problems:
                yield PhotoResult(problem.path, self.out, "skipped" if problem.is_link else "failed", problem.reason)
            yield from restore_files(restorer, self.plans, options, journal)

    def _is_of_another_run(self, folder: Path) -> bool:
        """Whether a folder below this one's has, or lies below one that has, a journal: its run may be writing."""
        below = (place for place in (folder, *folder.parents) if place != self.out and place.is_relative_to(self.out))
        return any((place / JOURNAL_FILE).exists() for place in below)


def plan_photos(
    sources: str | Path | Iterable[str | Path],
    out: str | Path,
    listed: Iterable[str | Path] = (),
    name_suffix: str = "",
    file_format: str | None = None,
) -> PhotoPlan:
    """Search, and decide every result's place; nothing is written.

    Args:
        sources: Files, folders and patterns; see `restore.images.files.search`.
        out: The target folder.
        listed: Further files, from a list.
        name_suffix: Added to the names of results.
        file_format: Another format for all results: `png`.

    Raises:
        UsageError: A source does not exist, or there is no picture.
        OutputError: Results would meet each other, a source, or a source folder.
    """
    several = [sources] if isinstance(sources, str | Path) else sources  # a text is one place, not one per letter
    places, files = [Path(source) for source in several], [Path(path) for path in listed]
    found = search(places, files)
    if not found.images and not found.problems:
        raise UsageError(
            f"no photos in {', '.join(map(str, [*places, *files])) or 'an empty list'}; see `restore photos --help`"
        )
    return PhotoPlan(Path(out), plan_outputs(found.images, Path(out), name_suffix, file_format), found)


def restore_photos(
    sources: str | Path | Iterable[str | Path],
    out: str | Path,
    bundle: str | Path = "photo",
    options: BatchOptions | None = None,
    *,
    listed: Iterable[str | Path] = (),
    name_suffix: str = "",
    file_format: str | None = None,
    limit: int | None = None,
    device: str = "auto",
    precision: InferenceChoice = "fast",
    tile: int | None = None,
    on_result: Callable[[PhotoResult], object] | None = None,
) -> list[PhotoResult]:
    """Restore photos as `restore photos` does: sources are never written, results are whole or not there.

    Args:
        sources: Files, folders (searched to the bottom, their tree mirrored) and patterns.
        out: Folder for the results, and for the journal by which a second run goes on where the first one stopped.
        bundle: Shipped name or folder.
        options: What is done to every picture.
        listed: Further files; they keep their place below the folder that all of them share.
        name_suffix: Added to the names of results: `_restored`.
        file_format: Another format for all results: `png`.
        limit: Stop after so many pictures that were not done before.
        device: As for `Restorer`.
        precision: As for `Restorer`, but `fast` if left out.
        tile: As for `Restorer`.
        on_result: Called with each result as it comes.

    Returns:
        One result per picture, and one for every place that could not be searched.

    Raises:
        UsageError: Arguments that cannot work.
        OutputError: Results would meet each other or a source, or the target cannot take them.
        BundleError: The bundle is missing or damaged.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import skimage.data
        >>> from PIL import Image
        >>> from restore import restore_photos
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "scans").mkdir()
        >>> Image.fromarray(skimage.data.astronaut()[:64, :64]).save(folder / "scans" / "astronaut.png")
        >>> [result] = restore_photos([folder / "scans"], folder / "restored")
        >>> result.status in {"restored", "copied"}
        True
        >>> result.target.relative_to(folder).as_posix()
        'restored/astronaut.png'
        >>> [again] = restore_photos([folder / "scans"], folder / "restored")
        >>> again.status, again.reason
        ('skipped', 'done before, and unchanged')
    """
    plan = plan_photos(sources, out, listed, name_suffix, file_format)
    restorer = Restorer.from_bundle(bundle, device, precision, tile)
    results = []
    options = options or BatchOptions()
    if limit is not None:
        plan = plan.limited(restorer, options, limit)
    for result in plan.run(restorer, options):
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def _decide(journal: Journal, plan: PlannedImage, options: BatchOptions) -> Decision:
    try:
        found = None if options.masks is None else options.masks.find(plan.relative)
        mask = None if found is None else state_of(found)
    except (OSError, UsageError):  # to be reported where the mask is read
        return Decision(True)
    return journal.decide(plan.source, plan.target, options.overwrite, mask)


def _check(restorer: Restorer, options: BatchOptions) -> None:
    if restorer.card is not None and _gives_back(restorer.card):
        raise UsageError(
            f"{restorer.card.name} gives pictures back through a code and restores nothing; name another bundle, and "
            "this one for `restore encode` or `restore compress`"
        )
    if restorer.composites and options.masks is None:
        raise UsageError("this bundle fills in what a mask marks: say where the masks are with --masks DIR")
    if options.masks is not None and not restorer.composites:
        raise UsageError("--masks is for bundles that fill in, such as inpaint; this one does not look at masks")


def _gives_back(card: ModelCard) -> bool:
    """Whether a network has learnt to give back what it sees: by its training, or made by `restore anomalies`."""
    task = card.training.get("task")
    if task is None:
        return card.name == "anomalies"
    return task == "ReconstructionAutoencoder" and card.training.get("corruption") == repr(Identity())


def _work(restorer: Restorer, options: BatchOptions) -> dict[str, object]:
    """What makes a difference to results; how they are computed, or shown, does not."""
    chosen = asdict(options)
    for name in ("overwrite", "workers", "thumbnails", "max_pixels", "residual", "compare"):
        del chosen[name]
    if options.masks is not None:
        chosen["masks"] |= {"folder": str(options.masks.folder.resolve())}
    return chosen | {"weights": restorer.card.weights_sha256 if restorer.card is not None else ""}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
