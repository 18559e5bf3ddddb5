from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactors.pipelinejobs.filetypes import RULES, UNKNOWN, file_type

NAMES: dict[str, str] = {
    "MULITIQC": "multiqc_report.html",
    "SAMPLES": "metadata-19606.json metadata-.json",
    "BPROV": "provenance_dump.json",
    "SECRETS": "secrets.json",
    "CONFIG": "config.yml reactor.rc config.rc",
    "GIT": ".gitignore .gitmodules",
    "JENKINS": "Jenkinsfile Jenkinsfile.prod",
    "DOCKERFILE": "Dockerfile Dockerfile.gpu app.dockerfile",
    "REQUIREMENTS": "requirements.txt",
    "COMPOSEFILE": "docker-compose.yml docker-compose.yaml compose.yml compose.yaml",
    "BEDGRAPH": "a.bedgraph",
    "ABI": "a.ab1 a.abi a.ab a.ab!",
    "SCF": "a.scf",
    "LOG": "a.err a.out a.log",
    "ENV": ".env a.env a.rc",
    "FASTQC": "a_fastqc.html a_fastqc.zip a.fastqc",
    "FASTA": "a.fa a.fasta a.fas a.fa.gz a.fasta.gz a.fas.gz",
    "TSV": "a.tab a.tsv",
    "BAM": "a.bam",
    "BAI": "a.bai a.bam.bai",
    "VCF": "a.vcf a.vcf.gz",
    "BCF": "a.bcf",
    "MD5": "a.md5 a.bam.md5",
    "SAM": "a.sam",
    "FASTQ": "a.fastq a.fq a.fastq.gz a.fq.gz",
    "FCS": "a.fcs",
    "SRAW": "a.sraw",
    "MZML": "a.mzml",
    "MSF": "a.msf",
    "INI": "a.ini",
    "GFF3": "a.gff3",
    "GTF": "a.gtf",
    "JPG": "a.jpg a.jpeg",
    # By their MIME types.
    "PLAIN": "a.txt b.config.txt",
    "PNG": "a.png ?#.png http:a.png",
    "CSV": "a.csv a.csv.gz a.csv.bz2",
    "JSON": "a.json xmetadata-1.json secrets.json.json",
    "PDF": "a.pdf",
    "HTML": "a.html multiqc_report2.html",
    "MS-EXCEL": "a.xls",
    "TAR": "a.tar a.tgz a.tar.gz",
    UNKNOWN: "a a.gz .fa2 a.bam2 a. bam gitignore \ud800 …",
}


@pytest.mark.parametrize(("label", "name"), [(label, name) for label, names in NAMES.items() for name in names.split()])
def test_files_are_labelled_by_their_names(label: str, name: str) -> None:
    assert file_type(name) == label
    assert file_type(name.upper()) == label
    assert file_type(f"/products/v2/x.bam/{name}") == label


def test_every_rule_is_tried() -> None:
    labels = [label for label, _ in RULES]
    assert len(set(labels)) == len(labels)
    assert set(labels) < NAMES.keys()
    for label, globs in RULES:
        assert len(NAMES[label].split()) >= min(2, len(globs)), label


@settings(deadline=None)
@given(st.text())
def test_every_file_has_a_label(name: str) -> None:
    label = file_type(name)
    assert label
    assert label == label.upper()
