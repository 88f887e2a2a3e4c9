# Apache-2.0.
"""Public-domain text as Debian ships it: what the bundled decoder and its fine-tuning task are made of.

King James Bible: packages bible-kjv and bible-kjv-text (the text is out of copyright).
Six novels of Jane Austen: package r-cran-janeaustenr (texts of Project Gutenberg, public domain).
Nothing is installed: packages are downloaded and unpacked into a cache directory.
"""
import pathlib
import re
import struct
import subprocess
import zlib


def unpacked(packages: list[str], cache: pathlib.Path) -> pathlib.Path:
    """Downloads the packages (once) and unpacks them under `cache`; returns the root."""
    root = cache / "root"
    cache.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if not list(cache.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=cache, check=True)
        subprocess.run(["dpkg-deb", "-x", next(cache.glob(f"{package}_*.deb")), root], check=True)
    return root


def king_james(cache: pathlib.Path) -> list[str]:
    """Chapters of the King James Bible, one paragraph a verse, without verse numbers."""
    root = unpacked(["bible-kjv", "bible-kjv-text"], cache)
    out = subprocess.run(
        [root / "usr/bin/bible", "-d", "bible.data", "-f"],
        input="gen1:1-rev22:21\n", cwd=root / "usr/lib", capture_output=True, text=True, check=True,
    ).stdout
    chapters: dict[str, list[str]] = {}
    seen = set()
    for line in out.splitlines():
        match = re.match(r"(?:bible\S* \[.*?\]> )?(\S+?):(\d+) (.+)$", line)
        if match is None or (match[1], match[2]) in seen:
            continue
        seen.add((match[1], match[2]))
        chapters.setdefault(match[1], []).append(match[3].strip())
    return ["\n".join(verses) for verses in chapters.values()]


def novels(cache: pathlib.Path) -> dict[str, list[str]]:
    """Title in lower case with hyphens -> paragraphs, each on one line."""
    root = unpacked(["r-cran-janeaustenr"], cache)
    data = (root / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb").read_bytes()
    books: dict[str, list[str]] = {}
    offset = 0
    while offset < len(data):  # each record: length, then a zlib stream of one R character vector
        stream = zlib.decompressobj()
        record = stream.decompress(data[offset + 4:])
        offset = len(data) - len(stream.unused_data)
        lines = character_vector(record)
        title = re.sub(r"[^a-z]+", "-", lines[0].lower()).strip("-")
        books[title] = paragraphs(lines)
    return books


def character_vector(record: bytes) -> list[str]:
    """The strings of an R serialisation (XDR, version 3) that holds one character vector."""
    at = 14 + 4 + struct.unpack(">I", record[14:18])[0]  # header and native encoding
    _, count = struct.unpack(">II", record[at:at + 8])
    at += 8
    strings = []
    for _ in range(count):
        _, size = struct.unpack(">Ii", record[at:at + 8])
        at += 8
        strings.append(record[at:at + max(size, 0)].decode("utf-8"))
        at += max(size, 0)
    return strings


def paragraphs(lines: list[str]) -> list[str]:
    """Joins wrapped lines into paragraphs and drops headings."""
    found, current = [], []
    for line in lines + [""]:
        line = line.strip()
        if line:
            current.append(line)
            continue
        text = re.sub(r"\s+", " ", " ".join(current).replace("_", "")).strip()
        current = []
        if len(text) > 60 and not text.isupper():
            found.append(text)
    return found
