"""What was done to which file: a line of JSON for every step, so that a run can be cut off anywhere and taken up again.

A line is written before a result appears and another one after it. The first says which bytes are about to be written
and of which photo, so that what stands somewhere is known by its content: what no line tells of is somebody else's, and
is never replaced unasked.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from restore.errors import OutputError
from restore.images.document import shown

__all__ = ["DONE_BEFORE", "JOURNAL_FILE", "Decision", "Journal", "SourceState", "decide_without", "state_of"]

JOURNAL_FILE = "restore-journal.jsonl"
DONE_BEFORE = "done before, and unchanged"

Json = dict[str, Any]


@dataclass(frozen=True)
class SourceState:
    """What tells whether a source or a mask has changed.

    Attributes:
        size: Its length in bytes.
        modified_ns: Its time of change in nanoseconds.
        mode: Who may read it; a change of that is none of the file.
    """

    size: int
    modified_ns: int
    mode: int = field(default=0o600, compare=False)


@dataclass(frozen=True)
class Decision:
    """Whether a picture is to be worked on; if not, why not."""

    work: bool
    reason: str = ""


def state_of(path: Path) -> SourceState:
    """Look at a source or a mask.

    Raises:
        OSError: It is not there.
    """
    status = path.stat()
    return SourceState(status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode))


class Journal:
    """The journal of a target folder; while it is open, no other run can write there.

    Args:
        folder: The target folder; it is made if it is missing.
        work: What is done to the pictures, bundle and options: a result made by other work is not taken for done.
        write: False to look only; nothing is made or locked then.

    Raises:
        OutputError: The folder cannot be written, or the journal not read, or another run is writing to it.
    """

    def __init__(self, folder: Path, work: Mapping[str, object], write: bool = True) -> None:
        self.path, self._folder = folder / JOURNAL_FILE, folder
        self._work = hashlib.sha256(json.dumps(dict(work), sort_keys=True).encode()).hexdigest()
        self._file: FileIO | None = None
        self._appending = threading.Lock()
        self._entries: dict[str, Json] = {}  # the last line of each target
        self._written: dict[tuple[str, str], Json] = {}  # the line of everything that was ever to stand at a target
        try:
            content = self._open() if write else self._look()
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be {'written' if write else 'read'} ({error.strerror})") from error
        for entry in _entries(content):
            self._remember(entry)

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether a run is writing to a target folder now, where the file system can tell."""
        try:
            with (folder / JOURNAL_FILE).open("rb", buffering=0) as file:
                return not _lock(file, exclusive=False)
        except OSError:
            return False

    def _open(self) -> bytes:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self.path.open("ab+", buffering=0)  # what cannot be written must not wait in a buffer
        try:
            if not _lock(file):
                raise OutputError(f"{self._folder}: another run is writing here; wait for it, or choose another folder")
            file.seek(0)
            content = file.readall()
            if not content.endswith(b"\n"):  # what a run that was killed left of its last line
                file.truncate(content.rfind(b"\n") + 1)
        except BaseException:
            file.close()
            raise
        self._file = file
        return content

    def _look(self) -> bytes:
        return self.path.read_bytes() if os.path.isfile(self.path) else b""  # noqa: PTH113  # Path.is_file may raise

    def decide(
        self, source: Path, target: Path, overwrite: bool = False, mask: SourceState | Literal["any"] | None = "any"
    ) -> Decision:
        """Whether a result is to be made, from the journal and what lies there.

        Args:
            source: The picture.
            target: Its result.
            overwrite: Make it again whatever is there.
            mask: Its mask as it is now, None if it has none; `any` where nobody has looked.
        """
        if overwrite or not os.path.lexists(target):
            return Decision(True)
        entry = self._entries.get(self._name(target))
        if entry is not None and entry["step"] == "end":
            try:
                here = _was_at(entry, source)
                as_it_was = here and state_of(source) == SourceState(entry["size"], entry["modified_ns"])
                unchanged = as_it_was or _has_bytes(entry, source)
            except OSError:
                return Decision(True)  # to be reported where it is read
            if not here and not unchanged:
                return Decision(False, _of_another(entry))
            if not isinstance(mask, str):
                unchanged = unchanged and entry.get("mask") == _as_entry(mask)
            if unchanged and entry["work"] != self._work:
                return Decision(False, "done before with another bundle or other options; --overwrite does it again")
            with contextlib.suppress(OSError):  # what cannot be looked at is told of below
                if unchanged and target.stat().st_size == entry["target_size"]:
                    return Decision(False, DONE_BEFORE)
        reason = self.in_the_way(source, target)
        return Decision(not reason, reason)

    def in_the_way(self, source: Path, target: Path) -> str:
        """Why what stands at a place must not be replaced; empty if nothing does, or what was written for this picture.

        Args:
            source: The picture.
            target: Its result, or a view of it.
        """
        if not os.path.lexists(target):
            return ""
        name = self._name(target)
        try:
            entry = self._written.get((name, _sha256(target)))
        except OSError as error:
            return f"what stands there cannot be read ({error.strerror}); --overwrite replaces it"
        if entry is None:
            ended = self._entries.get(name, {}).get("step") == "end"
            return _CHANGED if ended else _NO_RECORD
        try:
            return "" if _was_at(entry, source) or _has_bytes(entry, source) else _of_another(entry)
        except OSError:
            return ""  # to be reported where it is read; nothing is made of it

    def begin(self, source: Path, target: Path, data: bytes, view: bool = False) -> None:
        """Say that a file is about to be written, and which bytes it will have.

        Args:
            source: The picture.
            target: Its result, or a view of it.
            data: What will stand there.
            view: It is a view, which needs no second line: it is made whenever the result is.

        Raises:
            OutputError: The journal cannot be written; nothing else must be, then.
            OSError: The picture cannot be read.
        """
        self._append(
            {
                "step": "view" if view else "begin",
                "target": self._name(target),
                "source": os.path.realpath(source),
                "source_sha256": _sha256(source),
                "target_sha256": hashlib.sha256(data).hexdigest(),
            }
        )

    def end(
        self,
        source: Path,
        target: Path,
        state: SourceState,
        status: Literal["restored", "copied", "converted"],
        data: bytes,
        notes: Sequence[str] = (),
        mask: SourceState | None = None,
    ) -> None:
        """Say that a result is whole.

        Args:
            source: The picture.
            target: Its result, which was begun.
            state: The source as it was when it was read.
            status: What the result is.
            data: Its bytes.
            notes: What there is to say of it.
            mask: Its mask as it was when it was read; None if it has none.

        Raises:
            OutputError: The journal cannot be written; the next run will make the result again.
        """
        begun = self._entries[self._name(target)]
        self._append(
            {
                "step": "end",
                "target": begun["target"],
                "source": begun["source"],
                "source_sha256": begun["source_sha256"],
                "size": state.size,
                "modified_ns": state.modified_ns,
                "mask": _as_entry(mask),
                "work": self._work,
                "status": status,
                "target_size": len(data),
                "target_sha256": begun["target_sha256"],
                "notes": list(notes),
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
        )

    def close(self) -> None:
        """Let other runs write here."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _name(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix()

    def _append(self, entry: Json) -> None:
        # Escaped to ASCII: names that are no valid Unicode pass through JSON that way.
        if self._file is None:
            raise ValueError("this journal was opened to look only")
        line = (json.dumps(entry) + "\n").encode("ascii")
        with self._appending:  # or the lines of two results could mix
            end = self._file.seek(0, os.SEEK_END)
            try:
                if self._file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._file.fileno())
            except OSError as error:
                with contextlib.suppress(OSError):  # half a line must not swallow the next
                    self._file.truncate(end)
                raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from error
            self._remember(entry)

    def _remember(self, entry: Json) -> None:
        self._entries[entry["target"]] = entry
        self._written[entry["target"], entry["target_sha256"]] = entry


_NO_RECORD = "a file that this tool has no record of stands there; --overwrite replaces it"
_CHANGED = "the result was changed after it was written; --overwrite replaces it"

_BEGUN = {"step", "target", "source", "target_sha256"}
_ENDED = _BEGUN | {"size", "modified_ns", "work", "target_size"}


def _entries(content: bytes) -> Iterator[Json]:
    """The lines in turn; damaged ones are as if they were not there."""
    for line in content.splitlines(keepends=True):
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if not line.endswith(b"\n") or not isinstance(entry, dict):
                continue
            needed = _ENDED if entry.get("step") == "end" else _BEGUN
            if entry.keys() >= needed and all(isinstance(entry[name], str) for name in _BEGUN):
                yield entry


def _as_entry(mask: SourceState | None) -> list[int] | None:
    return None if mask is None else [mask.size, mask.modified_ns]


def _was_at(entry: Json, source: Path) -> bool:
    """Whether a line is of the picture that is at this place, under whatever name."""
    return os.path.realpath(str(entry["source"])) == os.path.realpath(source)


def _has_bytes(entry: Json, source: Path) -> bool:
    """Whether a line is of a picture with these bytes: one that was moved, or is mounted elsewhere now."""
    if entry.get("size") not in (None, source.stat().st_size):
        return False
    return bool(entry.get("source_sha256") == _sha256(source))


def _of_another(entry: Json) -> str:
    place = shown(Path(entry["source"]))
    return f"the result of another photo, {place}, stands there; choose another --out or a --suffix, or --overwrite"


def _lock(file: FileIO, exclusive: bool = True) -> bool:
    """False if somebody else holds the lock; where the system has none, everybody may write."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file.fileno(), (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _sha256(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decide_without(
    source: Path,  # noqa: ARG001  # as `Journal.decide`
    target: Path,
    overwrite: bool = False,
    mask: SourceState | Literal["any"] | None = "any",  # noqa: ARG001  # as `Journal.decide`
) -> Decision:
    """As `Journal.decide`, where there is no journal: what exists stays."""
    if os.path.lexists(target) and not overwrite:
        return Decision(False, "exists already; --overwrite replaces it")
    return Decision(True)
