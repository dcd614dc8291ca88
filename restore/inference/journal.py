"""What was done to which file: a line of JSON for every step, so that a run can be cut off anywhere and taken up again.

A line is written before a result appears and another one after it. What a run that was killed leaves is therefore
always known: a result without its second line is made again, a result without any line is somebody else's.
"""

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from restore.errors import OutputError

__all__ = ["DONE_BEFORE", "JOURNAL_FILE", "Decision", "Journal", "SourceState", "decide_without", "state_of"]

JOURNAL_FILE = "restore-journal.jsonl"
DONE_BEFORE = "done before, and unchanged"

Json = dict[str, Any]


@dataclass(frozen=True)
class SourceState:
    """What tells whether a source has changed: its length in bytes and its time of change in nanoseconds."""

    size: int
    modified_ns: int


@dataclass(frozen=True)
class Decision:
    """Whether a picture is to be worked on; if not, why not."""

    work: bool
    reason: str = ""


def state_of(path: Path) -> SourceState:
    """Look at a source.

    Raises:
        OSError: It is not there.
    """
    status = path.stat()
    return SourceState(status.st_size, status.st_mtime_ns)


class Journal:
    """The journal of a target folder; while it is open, no other run can write there.

    Args:
        folder: The target folder; it is made if it is missing.
        work: What is done to the pictures, bundle and options: a result made by other work is not taken for done.
        write: False to look only; nothing is made or locked then.

    Raises:
        OutputError: The folder cannot be written, or another run is writing to it.
    """

    def __init__(self, folder: Path, work: Mapping[str, object], write: bool = True) -> None:
        self.path, self._folder = folder / JOURNAL_FILE, folder
        self._work = hashlib.sha256(json.dumps(dict(work), sort_keys=True).encode()).hexdigest()
        self._file: FileIO | None = None
        if not write:
            self._entries = _entries(self.path.read_bytes() if self.path.is_file() else b"")
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab+", buffering=0)  # what cannot be written must not wait in a buffer
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from error
        if not _lock(file):
            file.close()
            raise OutputError(f"{folder}: another run is writing here; wait for it, or choose another folder")
        file.seek(0)
        content = file.readall()
        self._entries = _entries(content)
        if not content.endswith(b"\n"):  # what a run that was killed left of its last line
            file.truncate(content.rfind(b"\n") + 1)
        self._file = file

    def decide(self, source: Path, target: Path, overwrite: bool = False) -> Decision:
        """Whether a result is to be made, from the journal and what lies there.

        Args:
            source: The picture.
            target: Its result.
            overwrite: Make it again whatever is there.
        """
        entry = self._entries.get(self._name(target))
        if overwrite:
            return Decision(True)
        if entry is None:
            if os.path.lexists(target):
                return Decision(False, "a file that this tool has no record of stands there; --overwrite replaces it")
            return Decision(True)
        if entry["step"] == "begin" or not os.path.lexists(target):
            return Decision(True)
        try:
            unchanged = state_of(source) == SourceState(entry["size"], entry["modified_ns"])
        except OSError:
            return Decision(True)  # to be reported where it is read
        if unchanged and entry["work"] != self._work:
            return Decision(False, "done before with another bundle or other options; --overwrite does it again")
        if unchanged and target.stat().st_size == entry["target_size"]:
            return Decision(False, DONE_BEFORE)
        if _sha256(target) != entry["target_sha256"]:
            return Decision(False, "the result was changed after it was written; --overwrite replaces it")
        return Decision(True)

    def begin(self, source: Path, target: Path) -> None:
        """Say that a result is about to be written.

        Raises:
            OutputError: The journal cannot be written; nothing else must be, then.
        """
        self._append({"step": "begin", "target": self._name(target), "source": str(source)})

    def end(
        self,
        source: Path,
        target: Path,
        state: SourceState,
        status: Literal["restored", "copied"],
        data: bytes,
        notes: Sequence[str] = (),
    ) -> None:
        """Say that a result is whole.

        Args:
            source: The picture.
            target: Its result.
            state: The source as it was when it was read.
            status: What the result is.
            data: Its bytes.
            notes: What there is to say of it.

        Raises:
            OutputError: The journal cannot be written; the next run will make the result again.
        """
        self._append(
            {
                "step": "end",
                "target": self._name(target),
                "source": str(source),
                "size": state.size,
                "modified_ns": state.modified_ns,
                "work": self._work,
                "status": status,
                "target_size": len(data),
                "target_sha256": hashlib.sha256(data).hexdigest(),
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
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line must not swallow the next
                self._file.truncate(end)
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from error
        self._entries[entry["target"]] = entry


_ENDED = {"target", "source", "size", "modified_ns", "work", "target_size", "target_sha256"}


def _entries(content: bytes) -> dict[str, Json]:
    """The last line of each target; damaged lines are as if they were not there."""
    entries: dict[str, Json] = {}
    for line in content.splitlines(keepends=True):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            if line.endswith(b"\n") and (entry["step"] == "begin" or entry.keys() >= _ENDED):
                entries[entry["target"]] = entry
    return entries


def _lock(file: FileIO) -> bool:
    """False if somebody else holds the lock; where the system has none, everybody may write."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decide_without(source: Path, target: Path, overwrite: bool = False) -> Decision:  # noqa: ARG001  # as `Journal.decide`
    """As `Journal.decide`, where there is no journal: what exists stays."""
    if target.exists() and not overwrite:
        return Decision(False, "exists already; --overwrite replaces it")
    return Decision(True)
