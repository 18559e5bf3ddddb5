"""An image with Python and tapipy, made of the interpreter and the packages that run the tests: no registry is needed."""

from __future__ import annotations

import functools
import hashlib
import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import aiodocker
from packaging.requirements import Requirement

from tests.docker_images import add_busybox, add_file, engine

_REPOSITORY: Final = "abacod-test-python"
_HOME: Final = "opt/python"
"""Where the interpreter lies in the image; it finds its library relative to itself."""

_LIBRARY: Final = f"{_HOME}/lib/python{sys.version_info.major}.{sys.version_info.minor}"
_PACKAGES: Final = f"{_LIBRARY}/site-packages"
"""Where the packages lie in the image; the Python of a system may look for them elsewhere by itself."""

_LOADER: Final = re.compile(r"^\s*(/\S*ld-\S+)\s", re.MULTILINE)
_SHARED: Final = re.compile(r"=> (/\S+)")
_LEFT_OUT: Final = frozenset(
    {"site-packages", "dist-packages", "test", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip"}
)
"""Parts of the standard library that no actor of the tests uses."""

_RUN_PROGRAM: Final = "import os; exec(compile(os.environ['PROGRAM'], 'PROGRAM', 'exec'))"

# The classic builder of every engine makes this, without BuildKit.
_DOCKERFILE: Final = f"""FROM scratch
ADD root.tar /
ENV PATH=/{_HOME}/bin:/bin LD_LIBRARY_PATH=/{_HOME}/shared PYTHONPATH=/{_PACKAGES}
ENV PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8
CMD ["python", "-c", "{_RUN_PROGRAM}"]
"""


async def built_python_image() -> str:
    """The name of an image whose command runs the Python text in the variable `PROGRAM`, as any user.

    It is made once an engine and stays there: its tag says what it was made from.
    """
    name = f"{_REPOSITORY}:{_content_key()}"
    here = engine()
    try:
        with here.client() as client:
            if not await _is_there(client, name):
                await client.images.build(fileobj=_context(), encoding="identity", tag=name)
    finally:
        await here.close()
    return name


async def _is_there(client: aiodocker.Docker, name: str) -> bool:
    try:
        await client.images.inspect(name)
    except aiodocker.DockerError:
        return False
    return True


def _content_key() -> str:
    parts = [sys.version, _DOCKERFILE, Path(__file__).read_text()]
    parts += [f"{each.name} {each.version}" for each in _distributions()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _context() -> io.BytesIO:
    root, context = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        add_busybox(tar)
        _add_python(tar)
        _add_directory(tar, "tmp", 0o1777)
    with tarfile.open(fileobj=context, mode="w") as tar:
        add_file(tar, "Dockerfile", _DOCKERFILE.encode())
        add_file(tar, "root.tar", root.getvalue())
    context.seek(0)
    return context


def _add_python(tar: tarfile.TarFile) -> None:
    """Interpreter, standard library, tapipy with all it needs, and the shared libraries of all these."""
    interpreter = Path(sys.executable).resolve()
    programs = [interpreter]
    _add(tar, interpreter, f"{_HOME}/bin/python")
    for source, name in (*_standard_library(), *_packages()):
        _add(tar, source, name)
        if ".so" in source.suffixes:
            programs.append(source)
    # Its exit code only says whether all of them are dynamic.
    listed = subprocess.run(["ldd", *programs], check=False, capture_output=True, text=True).stdout
    for loader in set(_LOADER.findall(listed)):
        _add(tar, Path(loader).resolve(), loader.removeprefix("/"))
    for library in sorted(set(_SHARED.findall(listed))):
        _add(tar, Path(library).resolve(), f"{_HOME}/shared/{Path(library).name}")


def _standard_library() -> Iterator[tuple[Path, str]]:
    """Its files, and their names in the image; a system's Python may have it in two places."""
    places = {"base": sys.base_prefix, "installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    for folder in sorted({Path(sysconfig.get_path(name, vars=places)) for name in ("stdlib", "platstdlib")}):
        for entry in sorted(folder.iterdir()):
            if entry.name in _LEFT_OUT or entry.name.startswith("config-"):
                continue
            for source in [entry] if entry.is_file() else sorted(entry.rglob("*")):
                if source.is_file():
                    yield source, f"{_LIBRARY}/{source.relative_to(folder)}"


def _packages() -> Iterator[tuple[Path, str]]:
    for distribution in _distributions():
        for file in distribution.files or ():
            # What leads out of the packages' folder are scripts for the shell.
            if not str(file).startswith(".."):
                yield Path(str(distribution.locate_file(file))), f"{_PACKAGES}/{file}"


@functools.cache
def _distributions() -> tuple[metadata.Distribution, ...]:
    """tapipy and all that it requires, as installed here."""
    found: dict[str, metadata.Distribution] = {}
    wanted = [Requirement("tapipy")]
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop().name).lower()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        requirements = [Requirement(text) for text in found[name].requires or ()]
        wanted += [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return tuple(found[name] for name in sorted(found))


def _add(tar: tarfile.TarFile, source: Path, name: str) -> None:
    """A file that any user may read; its time stays, for the compiled files beside it refer to that."""
    if not source.is_file():
        return
    entry = tar.gettarinfo(source.resolve(), name)
    entry.mode = 0o755 if source.stat().st_mode & 0o111 else 0o644
    entry.uid = entry.gid = 0
    with source.open("rb") as content:
        tar.addfile(entry, content)


def _add_directory(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)
