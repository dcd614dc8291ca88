"""Restoring many files: each is decoded, restored, encoded and written whole, or reported.

Three stages overlap: one thread reads ahead, the network runs in the caller's thread, others encode and write. How much
is read ahead is bounded in pixels, so that memory does not depend on how many files there are.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restore.errors import OutputError, RestoreError, UsageError
from restore.images.codec import bleed_under_alpha, encode, open_document, read_pages
from restore.images.document import Array, Document, Page, shown
from restore.images.files import PlannedImage, check_collisions, identity_of, rights_above, view_of, write_atomically
from restore.images.tensors import LEVELS
from restore.inference.clean import is_clean, tells_clean
from restore.inference.damage import Damage, estimate_damage, has_moved
from restore.inference.floats import restore_floats, unit_range
from restore.inference.journal import Journal, decide_without, state_of
from restore.inference.outcome import COMPARE, RESIDUAL, BatchOptions, Job, PhotoResult
from restore.inference.previews import residual, side_by_side, thumbnail
from restore.inference.restorer import Restorer
from restore.memory import PixelBudget, return_freed_memory

__all__ = ["restore_files"]

_READ_AHEAD = 16
"""Pictures, as far as `_PIXELS_AHEAD` allows: small ones of one size share a pass of the network."""
_PIXELS_AHEAD = 48_000_000
"""Pixels in memory at a time; a picture that is larger is alone."""
_DRAWN = {RESIDUAL: residual, COMPARE: side_by_side}
_UNCHANGED = 0.8
"""Root mean square in 8-bit units, 50 dB: what a guarded bundle changes less than that was clean."""


def restore_files(
    restorer: Restorer,
    plans: Sequence[PlannedImage],
    options: BatchOptions | None = None,
    journal: Journal | None = None,
) -> Iterator[PhotoResult]:
    """Restore photos; a broken one does not stop the rest.

    Args:
        restorer: What restores.
        plans: From `restore.images.files.plan_outputs`, which has checked them against each other.
        options: What is done; the defaults if left out.
        journal: Of the target folder. Without one, results that exist are skipped.

    Yields:
        One result per photo, in order.

    Raises:
        OutputError: A view would be written over a source or a result. Nothing has been written then.
    """
    options = options or BatchOptions()
    if options.views:
        check_collisions(plans, options.views)
    batch = _Batch(restorer, options, journal)
    try:
        yield from batch.run(plans)
    except KeyboardInterrupt:
        batch.close()
        yield from batch.ended()  # what was being written is there, and has to be told
        raise
    finally:
        batch.close()


class _Batch:
    """The stages, and what they share."""

    def __init__(self, restorer: Restorer, options: BatchOptions, journal: Journal | None) -> None:
        self.restorer, self.options, self.journal = restorer, options, journal
        self.protocol = restorer.card.protocol if restorer.card is not None else ""
        self.shows_both = bool(options.views) or options.thumbnails
        trained = str(restorer.card.training.get("corruption", "")) if restorer.card is not None else ""
        self.auto = options.auto and tells_clean(self.protocol, trained)
        self.budget = PixelBudget(_PIXELS_AHEAD)
        self.sources: set[tuple[int, int] | None] = set()
        self.writing: deque[Future[PhotoResult]] = deque()
        self.reader = ThreadPoolExecutor(1, "restore-read")
        self.writers = ThreadPoolExecutor(options.workers, "restore-write")

    def run(self, plans: Sequence[PlannedImage]) -> Iterator[PhotoResult]:
        waiting: deque[Future[Job]] = deque()
        writing, rest = self.writing, iter(plans)
        self.sources = {identity_of(plan.source) for plan in plans} - {None}
        while True:
            while len(waiting) <= _READ_AHEAD and (plan := next(rest, None)) is not None:
                waiting.append(self.reader.submit(self._guarded, self._read, Job(plan, 0.0)))
            if not waiting:
                break
            for job in self._restored_together(waiting):
                writing.append(self.writers.submit(self._finished, job))
            while writing and (writing[0].done() or len(writing) > 2 * self.options.workers):
                yield self._first()
        while writing:
            yield self._first()

    def ended(self) -> Iterator[PhotoResult]:
        """After an interrupt: what was written meanwhile."""
        while self.writing:
            if self.writing[0].cancelled():
                self.writing.popleft()
            else:
                yield self._first()

    def _first(self) -> PhotoResult:
        result = self.writing[0].result()  # an interrupt while it waits loses nothing
        self.writing.popleft()
        return result

    def close(self) -> None:  # what is being written is finished, and nothing else
        self.budget.close()
        self.reader.shutdown(cancel_futures=True)
        self.writers.shutdown(cancel_futures=True)

    def _guarded(self, stage: "Callable[[Job], None]", job: Job) -> Job:  # the boundary of one file
        if job.result is None:
            try:
                stage(job)
            except RestoreError as error:
                job.result = job.ended("failed", str(error))
            except Exception as error:  # noqa: BLE001
                text = " ".join(str(error).split())
                job.result = job.ended("failed", f"{shown(job.plan.source)}: {type(error).__name__}: {text}")
        return job

    def _read(self, job: Job) -> None:
        job.start = time.perf_counter()
        found = None if self.options.masks is None else self.options.masks.find(job.plan.relative)
        with contextlib.suppress(OSError):  # to be reported where it is read
            job.mask_state = None if found is None else state_of(found)
        decide = decide_without if self.journal is None else self.journal.decide
        decision = decide(job.plan.source, job.plan.target, self.options.overwrite, job.mask_state)
        if not decision.work:
            job.result = job.ended("skipped", decision.reason)
            return
        source = job.plan.source
        document = open_document(source, self.options.max_pixels)
        state = state_of(source)
        job.state = replace(state, mode=state.mode & rights_above(source, job.plan.relative))
        job.document, job.notes = document, list(document.notes)
        job.megapixels = document.height * document.width * document.page_count / 1e6
        job.mask = self._mask(job, document, found)
        if job.copy or document.page_count > 1:
            return  # several pages go through one by one, in `_restore`; one is in memory at a time
        job.pixels = self.budget.take(document.height * document.width)
        (job.page,) = read_pages(document)
        job.check_unchanged()
        if self.auto:
            job.damage = estimate_damage(unit_range(job.page.pixels))
            if self._is_clean(job.damage, job.page):
                job.copy = f"clean already: noise {job.damage.noise:.1f} of 255, blur {job.damage.blur:.1f} pixels"
                if not job.needs_encoding(self.options.quality):
                    job.page = None
                    self._give_back(job)

    def _is_clean(self, damage: Damage, page: Page) -> bool:
        if not is_clean(damage, self.protocol):
            return False
        return not (self.restorer.network.finds_blur and has_moved(unit_range(page.pixels)))

    def _mask(self, job: Job, document: Document, found: Path | None) -> npt.NDArray[np.bool_] | None:
        if self.options.masks is None:
            return None
        if found is None:
            job.copy = "no mask: nothing is missing"
            return None
        if document.page_count > 1:
            raise UsageError(f"{shown(job.plan.source)}: has several pages, and masks are for pictures of one page")
        mask, notes = self.options.masks.read(found, (document.height, document.width))
        job.notes += notes
        if not mask.any():
            job.copy = "an empty mask: nothing is missing"
        return mask

    def _restored_together(self, waiting: "deque[Future[Job]]") -> list[Job]:
        """The next picture, and those behind it that are read already and of its size, if they are small."""
        jobs = [waiting.popleft().result()]
        page = self._page_to_share(jobs[0])
        if page is None:
            return [self._guarded(self._restore, jobs[0])]
        pages = [page]
        while waiting and waiting[0].done() and self.restorer.fits(page.pixels.shape, len(jobs) + 1):
            other = self._page_to_share(waiting[0].result())
            if other is None or (other.pixels.shape, other.pixels.dtype) != (page.pixels.shape, page.pixels.dtype):
                break
            jobs.append(waiting.popleft().result())
            pages.append(other)
        if len(jobs) == 1:
            return [self._guarded(self._restore, jobs[0])]
        start = time.perf_counter()
        try:
            restored = self.restorer.restore_together([page.pixels for page in pages], self.options.strength)
        except Exception:  # noqa: BLE001  # one of them is to blame: find out which
            return [self._guarded(self._restore, job) for job in jobs]
        seconds = (time.perf_counter() - start) / len(jobs)
        for job, page, pixels, change in zip(jobs, pages, restored, self.restorer.changes, strict=True):
            job.restored, job.network_seconds = replace(page, pixels=pixels), seconds
            job.notes += self.restorer.notes
            self._leave_alone(job, change)
        return jobs

    def _page_to_share(self, job: Job) -> Page | None:
        """The page of a plain picture on its way to the network, if it is small."""
        page = job.page
        if job.result is not None or job.copy or job.mask is not None or page is None or page.alpha is not None:
            return None
        return page if page.pixels.dtype in LEVELS and self.restorer.fits(page.pixels.shape, 2) else None

    def _restore(self, job: Job) -> None:
        document, page = job.document, job.page
        if document is None or job.copy:
            return
        if page is not None:
            job.restored = self._restore_page(job, page)
            if job.pixels > _PIXELS_AHEAD:
                return_freed_memory()  # encoding a scan takes as much as the network
            self._leave_alone(job, self.restorer.changes[0])
            if not self.shows_both:
                job.page = None  # at 100 megapixels it is 300 MB or 600
            return
        changed = False

        def pages() -> Iterator[Page]:
            nonlocal changed
            for number, page in enumerate(read_pages(document), 1):
                damage = estimate_damage(unit_range(page.pixels)) if self.auto else None
                if damage is not None and (job.damage is None or damage.noise > job.damage.noise):
                    job.damage = damage
                if damage is not None and self._is_clean(damage, page):
                    job.notes.append(f"page {number} is clean already: its pixels are unchanged")
                    yield page
                else:
                    changed = True
                    yield self._restore_page(job, page)

        job.encoded = job.encode(document, pages(), self.options.quality)
        job.check_unchanged()
        if not changed and not job.needs_encoding(self.options.quality):
            job.encoded, job.copy = None, "clean already, on every page"

    def _leave_alone(self, job: Job, change: float) -> None:
        """Copy what came back all but unchanged."""
        if self.auto and self.restorer.guarded and 255.0 * change < _UNCHANGED * self.options.strength:
            job.copy, job.restored = f"clean already: restoring would change it by {255.0 * change:.1f} of 255", None

    def _restore_page(self, job: Job, page: Page) -> Page:
        start = time.perf_counter()
        pixels = page.pixels if page.alpha is None else bleed_under_alpha(page.pixels, page.alpha)
        strength, mask = self.options.strength, job.mask
        if pixels.dtype in LEVELS:
            # A scan in memory once instead of twice, where nobody asks for the source's pixels again.
            wanted = mask is not None or self.shows_both or (self.auto and job.needs_encoding(self.options.quality))
            out = None if wanted or not pixels.flags.writeable else pixels
            restored: Array = self.restorer.restore(pixels, mask, strength, out)
        else:
            restored, notes = restore_floats(self.restorer, pixels, mask, strength)
            job.notes += notes
        if mask is not None:  # also where conversion or bleeding would have moved a value
            restored[~mask] = page.pixels[~mask]
        job.network_seconds += time.perf_counter() - start
        job.notes += [note for note in self.restorer.notes if note not in job.notes]
        return replace(page, pixels=restored)

    def _finished(self, job: Job) -> PhotoResult:
        job = self._guarded(self._write, job)
        self._give_back(job)
        if job.result is None:
            raise AssertionError("every stage leaves a result")
        return job.result

    def _write(self, job: Job) -> None:
        document, state, target = job.document, job.state, job.plan.target
        if document is None or state is None:
            raise AssertionError("only what was read is written")
        status = job.success(self.options.quality)
        if status == "copied":
            data = job.plan.source.read_bytes()
            job.notes = [note for note in job.notes if note not in document.notes]  # of what a result would lose
        else:
            if job.encoded is None:
                page = job.restored or job.page
                pages = read_pages(document) if page is None else iter([page])
                job.encoded = job.encode(document, pages, self.options.quality)
            data = job.encoded.data
            job.notes += job.encoded.notes
        job.check_unchanged()
        self._write_views(job, state.mode)
        self._put(job, target, data, state.mode)
        try:
            if self.journal is not None:
                self.journal.end(job.plan.source, target, state, status, data, job.notes, job.mask_state)
        except OutputError as error:
            job.notes.append(f"written whole, but not in the journal, so that the next run makes it again: {error}")
        job.result = job.ended(status, job.copy)
        if self.options.thumbnails and job.page is not None:
            job.result = replace(job.result, thumbnails=(thumbnail(job.page), thumbnail(job.restored or job.page)))

    def _write_views(self, job: Job, mode: int) -> None:
        """What there is to look at beside a result; a view that fails is a note, and no reason to lose the photo."""
        if job.page is None or job.restored is None:
            return
        for view in self.options.views:
            place = view_of(job.plan.target, view)
            try:
                reason = self._in_the_way(job, place)
                if not reason:
                    data = encode(_DRAWN[view](job.page.pixels, job.restored.pixels), place.suffix)
                    self._put(job, place, data, mode, view=True)
            except Exception as error:  # noqa: BLE001
                reason = " ".join(str(error).split()) or type(error).__name__
            if reason:
                job.notes.append(f"{shown(Path(place.name))} was not written: {reason}")

    def _put(self, job: Job, place: Path, data: bytes, mode: int, view: bool = False) -> None:
        def check() -> None:
            job.check_unchanged()  # again: the journal has taken its checksum since
            if reason := self._in_the_way(job, place):
                raise OutputError(f"{shown(place)}: {reason}")

        if self.journal is not None:
            self.journal.begin(job.plan.source, place, data, view)
        write_atomically(place, data, mode, check)

    def _in_the_way(self, job: Job, place: Path) -> str:
        """Why a file must not be written there, now; empty if it may."""
        if identity_of(place) in self.sources:
            return "would replace a source; choose another --out folder"
        if self.options.overwrite:
            return ""
        if self.journal is None:
            return decide_without(job.plan.source, place).reason
        return self.journal.in_the_way(job.plan.source, place)

    def _give_back(self, job: Job) -> None:
        self.budget.give_back(job.pixels)
        job.pixels = 0
