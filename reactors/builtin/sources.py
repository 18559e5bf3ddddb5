"""What indexed files come from: UUIDs, readable ids, URIs and paths, as the records that they mean (spec/pipelinejobs 6.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from reactors.pipelinejobs.archive import join_uri, split_uri
from reactors.pipelinejobs.filetypes import file_type
from reactors.pipelinejobs.identifiers import Kind
from reactors.pipelinejobs.indexing import FileToIndex, located_source
from reactors.pipelinejobs.records import Job
from reactors.ports import FileRecord, Ports, Refused

_URI: Final = "agave://"
_MATERIAL: Final = (Kind.FILE, Kind.REFERENCE)
_MAKERS: Final = (Kind.PIPELINEJOB, Kind.PIPELINE, Kind.PROCESS)
_UNKNOWN_LEVEL: Final = "Unknown"


class Sources:
    """The sources of the files of a job. Files without a record that are there get one."""

    def __init__(self, ports: Ports, job: Job, level: str) -> None:
        """`level` is that of files of the archive that are only named as a source."""
        self._ports = ports
        self._job = job
        self._level = level
        self._uuids: dict[str, str] = {}
        self.unknown: tuple[str, ...] = ()
        """Sources that mean nothing, as they were given."""

    def uuids(self, sources: Iterable[str]) -> tuple[str, ...]:
        """The UUIDs of those that are known."""
        return tuple(self._uuids[source] for source in sources if source in self._uuids)

    def resolve(self, files: Sequence[FileToIndex]) -> None:
        """Find what the sources of the files mean; those that mean nothing are `unknown` then.

        Raises:
            Refused: the daemon refused.
        """
        makers = dict.fromkeys(source for file in files for source in file.generated_by)
        material = dict.fromkeys(source for file in files for source in (*file.derived_from, *file.derived_using))
        self._look_up({source: source for source in makers}, _MAKERS)
        places = {source: place for source in material if (place := self._place(source)) is not None}
        self._look_up(places, _MATERIAL)
        missing = [source for source in places if source not in self._uuids]
        # Two sources may mean one place.
        new = dict.fromkeys(places[source] for source in missing)
        self._ports.catalog.write_files(file for place in new if (file := self._file(place)) is not None)
        self._look_up({source: places[source] for source in missing}, _MATERIAL)
        self.unknown = tuple(source for source in (*makers, *material) if source not in self._uuids)

    def _look_up(self, names: dict[str, str], kinds: Sequence[Kind]) -> None:
        if names:
            found = self._ports.catalog.resolve(tuple(names.values()), kinds)
            self._uuids.update({source: found[name] for source, name in names.items() if name in found})

    def _place(self, source: str) -> str | None:
        """How the catalog knows it; paths are on the storage system of the archive. None for what can be no file's path."""
        try:
            source = located_source(source, self._job.archive_path)
            if source.startswith("/"):
                return join_uri(self._job.archive_system, source)
            return join_uri(*split_uri(source)) if source.startswith(_URI) else source
        except ValueError:
            return None

    def _file(self, place: str) -> FileRecord | None:
        """The record of a file that is there and was not indexed yet; None if there is none."""
        if not place.startswith(_URI):
            return None
        system, path = split_uri(place)
        try:
            if not self._ports.files.exists(system, path):
                return None
        except Refused:
            return None
        job = self._job
        is_product = system == job.archive_system and path.startswith(f"{job.archive_path.rstrip('/')}/")
        return FileRecord(
            path=path,
            system=system,
            type=file_type(path),
            level=self._level if is_product else _UNKNOWN_LEVEL,
            links={"child_of": (job.uuid,), "generated_by": (job.uuid,)} if is_product else {},
        )
