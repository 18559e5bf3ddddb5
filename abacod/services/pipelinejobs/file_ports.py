"""What the Indexer reaches of the daemon: files on storage systems, and their records in the data catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

from abacod.errors import AbacoError
from abacod.services.pipelinejobs.file_records import FileRecords
from abacod.services.pipelinejobs.ports import Asking
from abacod.services.storage.systems import Systems
from reactors.ports import FileRecord, FileSeen, Listing, Refused

# Files whose records are written in one transaction, so that other writers wait for some 20 ms only.
_PORTION: Final = 100

T = TypeVar("T")


class FilesPort:
    """See `reactors.ports.Files`. Everything is done in the thread of the handler."""

    def __init__(self, asking: Asking, systems: Systems) -> None:
        self._asking = asking
        self._systems = systems

    def listing(self, system: str, path: str) -> Listing:
        """See the port."""
        passed_over: list[str] = []
        paths = self._do(lambda: self._systems.listing(system, path, passed_over=passed_over.append))
        return Listing(paths, sorted(name.encode("ascii", "backslashreplace").decode() for name in passed_over))

    def checksum(self, system: str, path: str) -> tuple[FileSeen, str]:
        """See the port."""
        state, digest = self._do(lambda: self._systems.checksum(system, path))
        return FileSeen(path, state.size, state.modified), digest

    def exists(self, system: str, path: str) -> bool:
        """See the port."""
        return self._do(lambda: self._systems.exists(system, path))

    def _do(self, work: Callable[[], T]) -> T:
        self._asking.check()
        try:
            return work()
        except AbacoError as error:
            raise Refused(error.message) from error
        except OSError as error:
            raise Refused(f"The storage system refused: {error.strerror}.") from error


class CatalogPort:
    """See `reactors.ports.Catalog`."""

    def __init__(self, asking: Asking, file_records: FileRecords) -> None:
        self._asking = asking
        self._file_records = file_records

    def write_files(self, records: Iterable[FileRecord]) -> int:
        """See the port."""
        asking, written, rest = self._asking, 0, iter(records)
        while portion := tuple(islice(rest, _PORTION)):
            self._write(asking, portion)
            written += len(portion)
        return written

    def resolve(self, identifiers: Sequence[str], kinds: Sequence[str]) -> Mapping[str, str]:
        """See the port."""
        asking = self._asking
        return asking.ask(lambda: self._file_records.resolve(asking.tenant, identifiers, kinds))

    def _write(self, asking: Asking, portion: Sequence[FileRecord]) -> None:
        asking.ask(lambda: self._file_records.write(asking.tenant, asking.username, portion))
