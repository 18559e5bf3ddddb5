"""What a container with a resident process and its daemon share.

NAME/door/     mounted to be written to: there the process makes its socket
NAME/shown/    mounted read-only: busybox, output pipe, results socket, binary message
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, Self

from abacod.errors import StorageUnavailable
from abacod.runtime.resident.contract import BINARY, OUTPUT
from abacod.runtime.resident.pump import Pump
from abacod.runtime.results import LastingSocket

# A container may run as any user.
_FOR_ALL: Final = 0o666
_OPEN: Final = 0o777
_READABLE: Final = 0o444


class Folder:
    """The folder of one container."""

    def __init__(self, place: Path) -> None:
        """Open what is there; raises `OSError`."""
        self.place = place
        self.shown = place / "shown"
        self.door = place / "door"
        self.pump = Pump(self.shown / OUTPUT)
        self._results: LastingSocket | None = None

    @classmethod
    def prepared(cls, place: Path, busybox: Path) -> None:
        """Make it.

        Raises:
            StorageUnavailable: it cannot be made.
        """
        shown, door = place / "shown", place / "door"
        try:
            for path, mode in ((shown, 0o755), (door, _OPEN)):
                path.mkdir(parents=True)
                path.chmod(mode)
            os.mkfifo(shown / OUTPUT)
            (shown / OUTPUT).chmod(_FOR_ALL)
            os.link(busybox, shown / "busybox")
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise StorageUnavailable(f"There is no room for a container's folder: {error.strerror}.") from error

    @classmethod
    def opened(cls, place: Path) -> Self:
        """Open one that was made; raises `StorageUnavailable`."""
        try:
            return cls(place)
        except OSError as error:
            raise StorageUnavailable(f"A container's folder cannot be read: {error.strerror}.") from error

    @property
    def results(self) -> LastingSocket:
        """The results socket, made at its first use; raises `StorageUnavailable`."""
        if self._results is None:
            self._results = LastingSocket(self.shown)
        return self._results

    def show(self, binary: Path) -> None:
        """Let the container see a binary message; raises `StorageUnavailable`."""
        self.hide()
        try:
            try:
                os.link(binary, self.shown / BINARY)
            except OSError:
                shutil.copyfile(binary, self.shown / BINARY)
                (self.shown / BINARY).chmod(_READABLE)
        except OSError as error:
            raise StorageUnavailable(f"The binary message cannot be shown: {error.strerror}.") from error

    def hide(self) -> None:
        """Take the binary message away again; none is no error."""
        (self.shown / BINARY).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; what is in the pipe is lost."""
        self.pump.close()
        if self._results is not None:
            self._results.close()
            self._results = None
