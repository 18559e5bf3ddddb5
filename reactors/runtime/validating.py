"""Checking messages against the reactor's JSON schemas (spec/pipelinejobs 8.4)."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Sequence
from urllib.parse import urlsplit

from reactors.runtime.subschemas import SUBSCHEMAS

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MESSAGE_SCHEMA = "message.jsonschema"
_SUFFIXES = (".json", ".jsonschema")


def schema_directories() -> list[Path]:
    """Where schemas are looked for by their file names."""
    return [Path("/"), Path.cwd(), Path("/schemas"), Path.cwd() / "schemas"]


def validate(message: Any, schema: Any = None) -> None:
    """Check a message against a schema: draft-07 unless it says otherwise, with its formats.

    `schema` is one, or the path of a file. Without it, `/message.jsonschema` decides, else that of the working directory,
    else the message must fit any schema of `/schemas` and `./schemas`. References lead to files in these directories by
    their names, and to the shared schemas of the PipelineJobs system; nothing is fetched from a network.

    Raises:
        jsonschema.ValidationError: the message does not fit.
        jsonschema.SchemaError: the schema is none.
        FileNotFoundError: there is no schema.
        ValueError: a schema's file is not JSON.
    """
    from jsonschema import ValidationError  # noqa: PLC0415 - it takes long to load

    candidates = [schema] if schema is not None else _found()
    problems = []
    try:
        for candidate in candidates:
            problem = next(_validator(candidate).iter_errors(message), None)
            if problem is None:
                return
            problems.append(problem)
    except RecursionError:
        raise ValidationError("the message is nested too deeply") from None
    raise problems[0]


def _found() -> Sequence[Path]:
    root, here, *folders = schema_directories()
    for path in (root / MESSAGE_SCHEMA, here / MESSAGE_SCHEMA):
        if path.is_file():
            return [path]
    paths = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    schemas = [path for path in paths if path.suffix in _SUFFIXES]
    if not schemas:
        raise FileNotFoundError(f"there is no /{MESSAGE_SCHEMA}, and no schema in /schemas; give one with schema=")
    return schemas


def _validator(schema: Any) -> Validator:
    import jsonschema  # noqa: PLC0415 - it takes long to load

    beside: list[Path] = []
    if not isinstance(schema, (Mapping, bool)):
        path = Path(schema)
        beside = [path.parent]
        schema = _read(path)
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
    kind.check_schema(schema)
    places = [*beside, *schema_directories()]
    checker = jsonschema.FormatChecker()
    try:
        import referencing  # noqa: PLC0415 - jsonschema has it from 4.18 on
        import referencing.jsonschema  # noqa: PLC0415
    except ImportError:
        by_scheme = dict.fromkeys(("", "http", "https", "file"), lambda uri: _referred(uri, places))
        resolver = jsonschema.RefResolver.from_schema(schema, handlers=by_scheme)
        return kind(schema, resolver=resolver, format_checker=checker)

    def retrieve(uri: str) -> Any:
        try:
            content = _referred(uri, places)
        except FileNotFoundError as error:
            raise referencing.exceptions.NoSuchResource(ref=uri) from error
        return referencing.Resource.from_contents(content, referencing.jsonschema.DRAFT7)

    registry = referencing.Registry(retrieve=retrieve)
    return kind(schema, registry=registry, format_checker=checker)


def _referred(uri: str, places: Sequence[Path]) -> Any:
    name = posixpath.basename(urlsplit(uri).path)
    for place in places:
        if name and (place / name).is_file():
            return _read(place / name)
    if name in SUBSCHEMAS:
        return SUBSCHEMAS[name]
    raise FileNotFoundError(f"the schema {uri} is not among the files here")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
