"""What a file is, by its name: the upper-case labels that pipelines accept and produce (spec/pipelinejobs 6.3)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from fnmatch import translate
from mimetypes import MimeTypes
from typing import Final

UNKNOWN: Final = "UNKNOWN"
"""The label of files about which nothing is known."""

RULES: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    # Whole names come first: `reactor.rc` is a configuration, and `x.rc` an environment.
    ("MULITIQC", ("multiqc_report.html",)),
    ("SAMPLES", ("metadata-*.json",)),
    ("BPROV", ("provenance_dump.json",)),
    ("SECRETS", ("secrets.json",)),
    ("CONFIG", ("config.yml", "reactor.rc", "config.rc")),
    ("GIT", (".git*",)),
    ("JENKINS", ("jenkinsfile", "jenkinsfile.*")),
    ("DOCKERFILE", ("dockerfile", "dockerfile.*", "*.dockerfile")),
    ("REQUIREMENTS", ("requirements.txt",)),
    ("COMPOSEFILE", ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")),
    ("BEDGRAPH", ("*.bedgraph",)),
    ("ABI", ("*.ab1", "*.abi", "*.ab", "*.ab!")),
    ("SCF", ("*.scf",)),
    ("LOG", ("*.err", "*.out", "*.log")),
    ("ENV", ("*.env", "*.rc")),
    ("FASTQC", ("*fastqc.html", "*fastqc.zip", "*.fastqc")),
    ("FASTA", ("*.fa", "*.fasta", "*.fas", "*.fa.gz", "*.fasta.gz", "*.fas.gz")),
    ("TSV", ("*.tab", "*.tsv")),
    ("BAM", ("*.bam",)),
    ("BAI", ("*.bai",)),
    # Elsewhere `.vcf` are visiting cards, so the compressed ones are named here as well.
    ("VCF", ("*.vcf", "*.vcf.gz")),
    ("BCF", ("*.bcf",)),
    ("MD5", ("*.md5",)),
    ("SAM", ("*.sam",)),
    ("FASTQ", ("*.fastq", "*.fq", "*.fastq.gz", "*.fq.gz")),
    ("FCS", ("*.fcs",)),
    ("SRAW", ("*.sraw",)),
    ("MZML", ("*.mzml",)),
    ("MSF", ("*.msf",)),
    ("INI", ("*.ini",)),
    ("GFF3", ("*.gff3",)),
    ("GTF", ("*.gtf",)),
    ("JPG", ("*.jpg", "*.jpeg")),
)
"""Labels and the names that they are for, in lower case, with `*` for any characters; the first one that fits counts."""

_COMPILED: Final = tuple((label, re.compile("|".join(map(translate, globs)))) for label, globs in RULES)
# Of its own: what a machine has in its mime.types decides nothing here.
_MIME: Final = MimeTypes()


def file_type(path: str) -> str:
    """The label of a file: that of the first rule for its name, in any case; else its MIME subtype; else UNKNOWN."""
    name = posixpath.basename(path).lower()
    for label, pattern in _COMPILED:
        if pattern.match(name):
            return label
    return _subtype(name)


def _subtype(name: str) -> str:
    """The MIME subtype without `x-` and `vnd.`; that of what is in it if the file is compressed."""
    stem, suffix = posixpath.splitext(name)
    if suffix in _MIME.suffix_map:
        stem, suffix = posixpath.splitext(stem + _MIME.suffix_map[suffix])
    if suffix in _MIME.encodings_map:
        suffix = posixpath.splitext(stem)[1]
    kind = _MIME.types_map[True].get(suffix)
    if kind is None:
        return UNKNOWN
    return kind.partition("/")[2].removeprefix("x-").removeprefix("vnd.").upper()
