"""A certificate of this machine, signed by itself, for servers of tests that speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class CertificateFiles(NamedTuple):
    """A certificate and its key, in the PEM format."""

    certificate: Path
    key: Path


def own_certificate(folder: Path, *hosts: str) -> CertificateFiles:
    """A new certificate for `localhost`, 127.0.0.1 and these hosts, by the program `openssl`."""
    files = CertificateFiles(folder / "certificate.pem", folder / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ",".join(["DNS:localhost", "IP:127.0.0.1", *(f"DNS:{host}" for host in hosts)])
    written = ["-addext", f"subjectAltName={names}", "-keyout", str(files.key), "-out", str(files.certificate)]
    subprocess.run([*command.split(), *written], check=True, capture_output=True)
    return files
