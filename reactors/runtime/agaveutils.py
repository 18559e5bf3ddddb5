"""Agave's URIs of files, its errors, and its files service, for clients that have one (spec/pipelinejobs 8.4)."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from reactors.runtime.errors import DaemonError

_URI = re.compile(r"agave://(?P<system>[^/\s]+)(?P<path>/.*)?", re.DOTALL)
_CHUNK = 1 << 20


def from_agave_uri(uri: str, validate: bool = False) -> tuple[str, str, str]:
    """System, directory and file name of an `agave://` URI: `agave://sys/a/b` gives `("sys", "/a", "b")`.

    A URI that ends in a slash names a directory; its file name is empty. `validate` refuses paths that lead upwards.

    Raises:
        ValueError: it is no such URI.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise ValueError(f"{uri!r} is not of the form agave://SYSTEM/PATH")
    path = found["path"] or "/"
    if validate and ("\0" in path or ".." in path.split("/")):
        raise ValueError(f"the path of {uri!r} leads upwards")
    directory, _, name = path.rpartition("/")
    return found["system"], directory or "/", name


def to_agave_uri(systemId: str, dirPath: str, fileName: str | None = None, validate: bool = False) -> str:
    """The URI of a file, or of a directory without `fileName`.

    Raises:
        ValueError: the system is empty or has a slash; with `validate` also if the path leads upwards.
    """
    if not systemId or "/" in systemId:
        raise ValueError(f"{systemId!r} cannot be a storage system")
    path = posixpath.join("/" + dirPath.lstrip("/"), (fileName or "").lstrip("/"))
    if not fileName and dirPath.strip("/"):
        path = path.rstrip("/")
    uri = f"agave://{systemId}{path}"
    if validate:
        from_agave_uri(uri, validate=True)
    return uri


def process_agave_httperror(http_error: Any) -> str:
    """What an HTTP error of the daemon, of requests or of an Agave client says: method, status and message."""
    if isinstance(http_error, DaemonError):
        return f"status {http_error.status}: {http_error.message}"
    response = getattr(http_error, "response", None)
    if response is None:
        return str(getattr(http_error, "message", None) or http_error)
    try:
        said = response.json().get("message") or response.reason
    except (ValueError, AttributeError):
        said = response.reason
    method = getattr(getattr(http_error, "request", None), "method", None) or "request"
    return f"{method} failed with status {response.status_code}: {said}"


def agave_mkdir(client: Any, dirName: str, systemId: str, basePath: str = "/") -> None:
    """Make a directory, and those above it, with an Agave client's files service."""
    client.files.manage(systemId=systemId, filePath=basePath, body={"action": "mkdir", "path": dirName})


def agave_upload_file(client: Any, agaveDestPath: str, systemId: str, uploadFile: str) -> None:
    """Upload a local file into a directory with an Agave client's files service."""
    with Path(uploadFile).open("rb") as content:
        client.files.importData(systemId=systemId, filePath=agaveDestPath, fileToUpload=content)


def agave_download_file(client: Any, agaveAbsolutePath: str, systemId: str, localFilename: str) -> str:
    """Download a file with an Agave client's files service; returns the local name.

    The local file is there only if all of it came.
    """
    response = client.files.download(systemId=systemId, filePath=agaveAbsolutePath)
    response.raise_for_status()
    target = Path(localFilename)
    part = target.with_name(target.name + ".part")
    with part.open("wb") as file:
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
    part.replace(target)
    return localFilename
