"""Work directories: where a batch job finds its inputs and leaves its outputs. Every method blocks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from abacod.errors import FileMissing, PathRefused
from abacod.models.batch_job import BatchJob
from abacod.services.batch.definition import file_name
from abacod.services.storage.contained import Root
from abacod.services.storage.copying import copy, empty
from abacod.services.storage.systems import Systems

_FILES: Final = "files"
_TEMPLATE: Final = "template"
# The paths of what was staged, which is not archived.
_STAGED: Final = "staged"


class Work:
    """A directory for each job, under one that only the daemon may enter."""

    def __init__(self, root: Path, systems: Systems) -> None:
        self._root = root
        self._systems = systems

    def files(self, job_id: str) -> Path:
        """What the container sees as its work directory."""
        return self._root / job_id / _FILES

    def template(self, job_id: str) -> Path:
        """The app's script."""
        return self._root / job_id / _TEMPLATE

    def stage(self, job: BatchJob, template: str | None, wanted: Callable[[], bool]) -> None:
        """Make the job's directory anew, with its inputs in it.

        Raises:
            FileMissing: an input is not there.
            PathRefused: an input leads out of its system, or is no file or directory.
            OSError: a disk refused.
            Broken: `wanted` says so.
        """
        self.remove(job.id)
        files = self.files(job.id)
        files.mkdir(parents=True, mode=0o700)
        # The user of an image may be anybody; nobody else gets through the directory above.
        files.chmod(0o777)
        if template is not None:
            path = self.template(job.id)
            path.write_text(template)
            path.chmod(0o555)
        target = Root(files, "the work directory")
        staged: list[str] = []
        for uris in job.inputs.values():
            for uri in uris:
                place = self._systems.split(uri)
                source = self._systems.root(place.system)
                staged += copy(source, place.path, target, file_name(place.path), wanted=wanted)
        self._open_to_all(files)
        (self._root / job.id / _STAGED).write_text(json.dumps(staged))

    def archive(self, job: BatchJob, wanted: Callable[[], bool]) -> int:
        """Copy all regular files that were not staged to the job's archive; returns how many there are.

        Raises: as `stage`.
        """
        if job.archive is None:
            return 0
        staged = set(json.loads((self._root / job.id / _STAGED).read_text()))
        source = Root(self.files(job.id), "the work directory")
        target = self._systems.root(job.archive.system)
        return len(copy(source, "", target, job.archive.path, wanted=wanted, leave_out=staged))

    def remove(self, job_id: str) -> None:
        """Remove the job's directory, if there is one.

        Raises:
            OSError: something in it cannot be removed.
        """
        root = Root(self._root, "the work directories")
        with suppress(FileMissing, PathRefused):
            with root.directory(job_id) as directory:
                empty(directory)
            (self._root / job_id).rmdir()

    def all(self) -> list[str]:
        """The ids of the jobs that have a directory."""
        return [path.name for path in self._root.iterdir()]

    def _open_to_all(self, files: Path) -> None:
        """Let whoever the container runs as change what was staged; links have been copied as files, so there are none."""
        for directory, _, names in os.walk(files):
            Path(directory).chmod(0o777)
            for name in names:
                path = Path(directory, name)
                path.chmod(path.stat().st_mode | 0o666)
