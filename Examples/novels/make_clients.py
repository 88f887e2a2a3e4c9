# Apache-2.0.
"""Writes this example's data: passages of four novels, a client each, and held-out ones of two others.

python3 Examples/novels/make_clients.py --cache CACHE

The texts are in the public domain (Jane Austen, 1811 to 1818); they come from the Debian package
r-cran-janeaustenr, which took them from Project Gutenberg.
"""
import argparse
import json
import pathlib
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent.parent / "Models"))
import text_sources  # noqa: E402

CLIENTS = ["emma", "mansfield-park", "persuasion", "pride-and-prejudice"]
HELD_OUT = ["northanger-abbey", "sense-and-sensibility"]
PASSAGE = 360  # characters: about 128 tokens of the bundled tokenizer
CLIENT_BYTES = 90_000
HELD_OUT_BYTES = 16_000


def passages(paragraphs: list[str], wanted: int) -> list[str]:
    """Whole sentences packed into passages, from the whole length of the book."""
    found: list[str] = []
    current = ""
    for paragraph in paragraphs[2:]:
        for sentence in paragraph.replace("; ", ";\x00").replace(". ", ".\x00").split("\x00"):
            if current and len(current) + 1 + len(sentence) > PASSAGE:
                if len(current) <= PASSAGE:
                    found.append(current)
                current = sentence
            else:
                current = f"{current} {sentence}".strip()
    stride = max(1, sum(map(len, found)) // wanted)
    return found[::stride]


def write(path: pathlib.Path, titles: list[str], books: dict[str, list[str]], wanted: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for title in titles:
            for text in passages(books[title], wanted):
                row = {"book": title, "text": text}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--cache", type=pathlib.Path, required=True)
    books = text_sources.novels(parse.parse_args().cache)
    write(here / "novels.jsonl", CLIENTS, books, CLIENT_BYTES)
    write(here / "held-out.jsonl", HELD_OUT, books, HELD_OUT_BYTES)


if __name__ == "__main__":
    main()
