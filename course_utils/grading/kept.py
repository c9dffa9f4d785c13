"""What a folder of results keeps: finished records, so that nothing is lost or graded twice, and a lock."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from course_utils.grading.record import Record, clean
from course_utils.grading.seed import CannotGrade

Place = tuple[str, str, str, str]
"""A line of the results: the folder of the class, the student's id and name, and the lab (or the file, without one)."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS grades (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS results (place TEXT PRIMARY KEY, record TEXT NOT NULL)",
)

_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
}


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other graders out of a folder; the lock ends with this process, however it ends.

    Raises:
        CannotGrade: another process grades into the folder, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(out / "grading.lock", os.O_RDWR | os.O_CREAT, 0o644), "r+", errors="replace")
    except OSError as error:
        raise CannotGrade(f"Cannot keep grades in {out} ({error.strerror}): choose another --out folder.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = clean(file.read(300)) or "another process"
            raise CannotGrade(
                f"{out} is in use by {holder}: wait for its end, or choose another --out folder."
            ) from None
        except OSError as error:
            raise CannotGrade(f"Cannot lock {out} ({error.strerror}): choose another --out folder.") from None
        with contextlib.suppress(OSError, KeyError):  # a full disk; a user without a name
            file.truncate(0)
            user, host = getpass.getuser(), socket.gethostname()
            file.write(f"process {os.getpid()} of {user} on {host}, which began at {datetime.now():%Y-%m-%d %H:%M:%S}")
            file.flush()
        yield


def _text(data: bytes) -> str:
    """A text of the database; what is damaged is no record."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


class Grades:
    """Finished records in a SQLite file. Each is on disk before the next is asked for, so a kill loses none.

    Raises:
        CannotGrade: the file cannot be written, or is something else.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = lambda sentence: None) -> None:
        self.path = path
        self.results: dict[Place, Record] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a damaged message of SQLite's own
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_DAMAGE or not os.access(path, os.W_OK):
                    raise
                self.connection.close()
                aside = self._set_aside()
                self._open()
                count = self._recover()
                say(
                    f"{path} was damaged and is set aside as {aside.name}. {count} earlier results were taken from "
                    "results.json; the answers that you give now are graded again."
                )
        except (OSError, sqlite3.Error) as error:
            raise CannotGrade(f"Cannot keep grades in {path} ({error}): choose another --out folder.") from None

    def _open(self) -> None:
        self.connection = sqlite3.connect(self.path, timeout=30)
        self.connection.text_factory = _text
        for (said,) in self.connection.execute("PRAGMA integrity_check(1)"):
            if said != "ok":
                raise sqlite3.DatabaseError(said)
        with self.connection:
            for table in _TABLES:
                self.connection.execute(table)
        self.connection.execute("SELECT key, record FROM grades LIMIT 1").fetchall()
        for place, record in self.connection.execute("SELECT place, record FROM results"):
            with contextlib.suppress(ValueError, TypeError):  # written by another version
                self.results[tuple(json.loads(place))] = Record.model_validate_json(record)

    def _set_aside(self) -> Path:
        aside = self.path.with_name(f"{self.path.name}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}")
        os.replace(self.path, aside)
        for end in ("-journal", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{end}", f"{aside}{end}")
        return aside

    def _recover(self) -> int:
        """Take what was finished from the results that were written for people."""
        try:
            found = json.loads((self.path.parent / "results.json").read_text(encoding="utf-8"))
            records = [Record.model_validate(one) for one in found]
            records = [one for one in records if Path(one.submission).is_absolute()]  # not those under pseudonyms
        except (OSError, ValueError, TypeError, RecursionError):
            return 0
        for record in records:
            self.keep(str(Path(record.submission).parent), record)
        return len(records)

    def get(self, key: str) -> Record | None:
        """What became of an answer, if it is remembered."""
        try:
            row = self.connection.execute("SELECT record FROM grades WHERE key = ?", (key,)).fetchone()
            return Record.model_validate_json(row[0]) if row else None
        except (sqlite3.DatabaseError, ValueError):  # written by another version, or damaged
            return None

    def put(self, key: str, record: Record) -> None:
        """Remember what became of an answer."""
        self._write("INSERT OR REPLACE INTO grades VALUES (?, ?)", (key, record.model_dump_json()))

    def keep(self, place: str, record: Record) -> None:
        """Enter a line of the results, in place of an earlier one of the same student, or of the same file."""
        where = (clean(place), record.student_id, record.student, record.lab or record.submission)
        for other, earlier in list(self.results.items()):
            if other != where and (earlier.submission, earlier.lab) == (record.submission, record.lab):
                self.drop(other)
        self.results[where] = record
        self._write("INSERT OR REPLACE INTO results VALUES (?, ?)", (json.dumps(where), record.model_dump_json()))

    def drop(self, where: Place) -> None:
        """Take a line out of the results."""
        del self.results[where]
        self._write("DELETE FROM results WHERE place = ?", (json.dumps(where),))

    def _write(self, command: str, values: tuple[str, ...]) -> None:
        try:
            with self.connection:
                self.connection.execute(command, values)
        except sqlite3.Error as error:
            raise CannotGrade(f"Cannot write {self.path} ({error}): free some space and run this again.") from None

    def close(self) -> None:
        self.connection.close()
