# Apache-2.0.
"""Turns `apt-cache dumpavail` (standard input) into the rows of 20 clients and held-out rows.

apt-cache dumpavail | python3 make_clients.py OUT

A row is {"client": "07", "label": section, "text": short description}. Maintainers are the clients'
boundary: a hash of the maintainer's name chooses one of 20. One source package in ten is held out as a
whole, so that the twin of a held-out package is never trained on. Only the standard library is needed.
"""
import collections
import hashlib
import json
import pathlib
import sys

CLIENTS = 20
ROWS_PER_CLIENT = 600
HELD_OUT_ROWS = 1200
# The largest sections of Debian 12, in the order of run.json5.
SECTIONS = [
    "admin", "devel", "doc", "golang", "haskell", "java", "javascript", "libdevel", "libs",
    "net", "perl", "python", "ruby", "rust", "science", "utils",
]


def bucket(text: str, count: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % count


def stanzas(lines):
    fields: dict[str, str] = {}
    for line in lines:
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0] not in " \t" and ":" in line:
            name, value = line.split(":", 1)
            fields[name] = value.strip()
    if fields:
        yield fields


def write(path: pathlib.Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    section, count = collections.Counter(row["label"] for row in rows).most_common(1)[0]
    print(f"{path.name}: {len(rows)} rows, most are {section} ({count / len(rows):.0%})")


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    packages = {}
    for fields in stanzas(sys.stdin):
        if all(name in fields for name in ("Package", "Description", "Section", "Maintainer")):
            packages[fields["Package"]] = fields
    clients: dict[str, list] = collections.defaultdict(list)
    for name, fields in packages.items():
        if fields["Section"] not in SECTIONS:
            continue
        source = fields.get("Source", name).split(" ")[0]
        client = "held out"
        if bucket("held out " + source, 10) != 0:
            client = f"{bucket(fields['Maintainer'], CLIENTS) + 1:02}"
        row = {"client": client, "label": fields["Section"], "text": fields["Description"]}
        clients[client].append((bucket(name, 1 << 62), row))
    held = [row for _, row in sorted(clients.pop("held out"), key=lambda pair: pair[0])]
    rows = []
    for client in sorted(clients):
        kept = sorted(clients[client], key=lambda pair: pair[0])[:ROWS_PER_CLIENT]
        rows += [row for _, row in kept]
    write(out / "clients.jsonl", rows)
    write(out / "held-out.jsonl", held[:HELD_OUT_ROWS])


if __name__ == "__main__":
    main()
