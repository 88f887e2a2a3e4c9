# Apache-2.0.
"""Writes the clients of this example: passages of four novels, and held-out passages of two others.

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


def write(path: pathlib.Path, texts: list[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    print(f"{path.name}: {len(texts)} passages, {path.stat().st_size} bytes")


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--cache", type=pathlib.Path, required=True)
    books = text_sources.novels(parse.parse_args().cache)
    for title in CLIENTS:
        write(here / f"{title}.jsonl", passages(books[title], CLIENT_BYTES))
    held = [text for title in HELD_OUT for text in passages(books[title], HELD_OUT_BYTES)]
    write(here / "held-out.jsonl", held)


if __name__ == "__main__":
    main()
