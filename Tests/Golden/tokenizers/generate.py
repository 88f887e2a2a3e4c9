"""Writes the tokenizers of this folder and what the `tokenizers` library says of awkward texts.

    pip install tokenizers==0.23.3; python generate.py

Each NAME.json is a small vocabulary in exactly the configuration of a published family. texts.jsonl
holds the texts, one JSON string a line; NAME.ids.jsonl a line [ids, ids with special tokens] for each;
NAME.text.jsonl what decoding the latter gives with the special tokens kept, and random.jsonl ids drawn
at random with what every tokenizer makes of them.
"""
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")

SCRIPTS = [
    "Der Fluß führt über die Brücke; naïve façades, œuvre, Ångström, Łódź, žluťoučký kůň.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Τάχιστη αλώπηξ βαφής ψημένη γη, δρασκελίζει υπέρ νωθρού κυνός.",
    "色は匂へど散りぬるを我が世誰ぞ常ならむ。日本語の文章、カタカナとひらがな。",
    "敏捷的棕色狐狸跳过了懒狗。机器学习与联邦微调。",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण", "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "😀😁😂🤣 👍🏽👩‍💻👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 ❤️", "x² + y³ = z¼, №5, Ⅷ, ①②③, ½",
]
ENGLISH = """
The quick brown fox jumps over the lazy dog. It's what we've always said: they'll come, I'm sure,
you'd better not. A winged seed is called a samara; the wind carries it far from its tree, and where
it falls it may grow. Gradients need not travel: a seed and a scalar say the same. In 1997 there were
12,345 of them, 67.89 % more than in 1996. def f(x): return x ** 2  # squares
for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }
We learn on the device, and what we learn is sent as a byte. HELLO WORLD, said the USER'S machine.
"""


def corpus():
    text = [ENGLISH, open(os.path.join(HERE, "../../../LICENSE")).read()]
    return text * 2 + SCRIPTS * 4


def bpe(normalizer, pre, post, decoder, size, specials, **options):
    trained = {k: options.pop(k) for k in ("alphabet", "limit") if k in options}
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    limit = {"limit_alphabet": trained["limit"]} if "limit" in trained else {}
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, show_progress=False, min_frequency=2,
        initial_alphabet=trained.get("alphabet", []), **limit,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    if post is not None:
        tokenizer.post_processor = post
    if decoder is not None:
        tokenizer.decoder = decoder
    return tokenizer


BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def gpt2():
    made = bpe(
        None, pre_tokenizers.ByteLevel(add_prefix_space=False), processors.ByteLevel(True),
        decoders.ByteLevel(), 1500, ["<|endoftext|>"], alphabet=BYTES,
        continuing_subword_prefix="", end_of_word_suffix="",
    )
    return made


def roberta():
    made = bpe(
        None, pre_tokenizers.ByteLevel(add_prefix_space=True), None, decoders.ByteLevel(), 1000,
        ["<s>", "<pad>", "</s>", "<unk>"], alphabet=BYTES,
    )
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    return made


def llama3():
    made = bpe(
        None,
        pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]),
        None, decoders.ByteLevel(), 1500, [], alphabet=BYTES, ignore_merges=True,
    )
    made.add_special_tokens([
        AddedToken(t, special=True, normalized=False)
        for t in ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                  "<|end_header_id|>", "<|eot_id|>")
    ])
    begin = made.token_to_id("<|begin_of_text|>")
    made.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B:1",
            special_tokens=[("<|begin_of_text|>", begin)],
        ),
    ])
    return made


def qwen2():
    made = bpe(
        normalizers.NFC(),
        pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]),
        processors.ByteLevel(trim_offsets=False), decoders.ByteLevel(), 1500, [], alphabet=BYTES,
        continuing_subword_prefix="", end_of_word_suffix="",
    )
    made.add_special_tokens([
        AddedToken(t, special=True, normalized=False)
        for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    ])
    made.add_tokens([AddedToken("<tool_call>", special=False, normalized=False),
                     AddedToken("Café", special=False, normalized=True),
                     AddedToken("seed", single_word=True, normalized=True)])
    return made


def smollm():
    made = bpe(
        None,
        pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]),
        None, decoders.ByteLevel(), 1000, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        alphabet=BYTES,
    )
    return made


def fallback(size, **rest):
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    return dict(size=size, specials=specials, byte_fallback=True, fuse_unk=True, unk_token="<unk>",
                limit=200, **rest)


def bos(made):
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return made


def train_blanks(arguments):
    """BPE with byte fallback, trained on words and then given the pipeline of Llama 2."""
    return bpe(None, pre_tokenizers.Metaspace(), None, None, **arguments)


def unsplit(made):
    """Bytes of the fallback are plain tokens of the vocabulary, not added ones."""
    value = json.loads(made.to_str())
    value["added_tokens"] = [t for t in value["added_tokens"] if not t["content"].startswith("<0x")]
    value["model"]["merges"] = [" ".join(m) for m in value["model"]["merges"]]
    return Tokenizer.from_str(json.dumps(value)), value


def llama2():
    made = train_blanks(fallback(1500))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.pre_tokenizer = None
    made.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    return unsplit(bos(made))


def mistral():
    made = train_blanks(fallback(1000))
    made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    return unsplit(bos(made))


def metaspace():
    """No fallback: unknown characters become one token."""
    made = bpe(None, pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True), None,
               decoders.Metaspace("▁", prepend_scheme="always", split=True), 800, ["<unk>"],
               unk_token="<unk>", fuse_unk=True, limit=80)
    return made


def bert(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False, limit_alphabet=300)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.decoder = decoders.WordPiece(cleanup=lowercase)
    if lowercase:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    else:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def texts():
    rng = random.Random(20)
    found = ["", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "a", " a", "a ", "  a  b  ", "\n\n a\n \nb",
             "a\r\n\r\n  b\r", "\ufffd", "\ufffd\ufffd x", "\u0000", "a\u0000b", "\x7f\x1b[0m", "\u0085x",
             "\u200bzero\u200dwidth\ufeff", "\u2028line\u2029para", "e\u0301", "\u00e9", "A\u030a \u212b",
             "\u1100\u1161\u11a8", "\uac01", "q\u0323\u0307 q\u0307\u0323", "\u0958 \u0f73", "ﬁﬂ ſ ß ẞ İ ı",
             "'s 'S 'ſ 'RE 're'Ve'll'LL'd'D'm'M't'T 'x", "it'S they'VE we'Ll I'M", "don't", "''s'",
             "1", "12", "123", "1234", "12345678901234567890", "3.14159e-10", "٣٤٥٦", "¹²³⁴", "½¾", "Ⅷⅸ",
             "<s>", "</s>", "<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> ", "<|im_start|>user\nhi<|im_end|>",
             "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "[CLS] [MASK] [SEP] [UNK]",
             "[MASK]x", "x<mask>y", "x   <mask>   y", "<unk><0x41><0x0A>", "▁", "▁▁", " ▁ a", "a▁b", "<0x", "<s", "[CLS",
             "<tool_call>{}</tool_call>", "Café Cafe\u0301 café", "seed seeds seed. reseed seed", "seedé é seed_ seed1",
             "x" * 200, "ab" * 300, "é" * 150, "日" * 120, "😀" * 80, " " * 100, "\n" * 60, "a " * 120, "!" * 130,
             "\u0301" * 40, "a" + "\u0301\u0327\u0323" * 30, "supercalifragilisticexpialidocious" * 4,
             "http://example.org/a?b=c&d=%20#e", "user@example.org", "C:\\Windows\\System32", "$1,000.00", "50%",
             "a-b_c—d–e…f", "«q» „q“ ‚q‘", "¿Qué? ¡Sí!", "(a)[b]{c}<d>", "#hash @at ~tilde `tick` ^hat |bar|",
             "\t\tif (x == 1) {\n\t\t\treturn;\n\t\t}\n", "x=1;y=2", "a\u0308o\u0308u\u0308", "straße STRASSE", "ΑΣ ΌΣΟΣ ς",
             "mixed日本語andEnglish한국어text", "العَرَبِيَّة", "שָׁלוֹם", "नमस्ते दुनिया", "ประเทศไทย", "\u202eRTL\u202c x",
             "👩‍👩‍👧‍👦👍🏿🇫🇷1️⃣", "\U0001F3F4\U000E0067\U000E0062\U000E007F", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "𠮷野家 𪚥 \U0002b820 \U0002ceae \U000323af",
             "\ue000\uf8ff\U000f0000", "\u0378\u0379", "\ufdd0\uffff", "\u3000全角\u3000スペース", "ＡＢＣ１２３", "ｶﾞｷﾞ",
             "do not n't 's 'm ' x ' . , ! ?", "I do not . You 're , he 's !", "a . b ! c ? d , e", "##ing ing ##"]
    found += SCRIPTS + [line for line in ENGLISH.split("\n")]
    words = (ENGLISH + " ".join(SCRIPTS)).split()
    atoms = [" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "'", "123", "7", "é", "e\u0301", "日", "本", "😀", "\u200d", "👍🏽",
             "\u0301", "\u0323", "ß", "İ", "Σ", "ا", "\u064b", "ש", "\u05b8", "न", "\u094d", "ก", "\u0e48", "ᄒ", "ᅡ", "ᆫ", "한",
             "\ufffd", "\u0000", "\u0085", "\u00a0", "\u3000", "\u2028", "▁", "<s>", "</s>", "<|im_end|>", "<|endoftext|>",
             "[MASK]", "<mask>", "seed", "_", "-", ".", ",", "!", "(", "//", "\\", "½", "²", "٣", "𝟙", "𠮷", "\ue000",
             "the", "ing", " and", "UPPER", "zzz", "\u200b", "\ufeff", "\x1b", "ﬁ", "ſ", "\u0345", "\u0f73", "\u212b"]
    while len(found) < 700:
        found.append("".join(rng.choice(atoms) for _ in range(rng.randint(1, 14))))
    while len(found) < 950:
        found.append("".join(rng.choice([" ", " ", "  ", "\n", ""]) + rng.choice(words) for _ in range(rng.randint(1, 12))))
    blocks = [(0x20, 0x7F), (0x80, 0x250), (0x250, 0x600), (0x600, 0x1100), (0x1100, 0x2000), (0x2000, 0x3100),
              (0x3100, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000), (0x20000, 0x110000)]
    while len(found) < 1150:
        block = rng.choice(blocks + [None])
        pick = lambda: rng.randrange(*(block or rng.choice(blocks)))
        found.append("".join(chr(pick()) + rng.choice(["", "", " "]) for _ in range(rng.randint(1, 12))))
    return found


def dump(name, lines):
    with open(os.path.join(HERE, name), "w") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")


def main():
    rows = texts()
    dump("texts.jsonl", rows)
    kinds = dict(gpt2=gpt2, roberta=roberta, llama3=llama3, qwen2=qwen2, smollm=smollm, llama2=llama2, mistral=mistral,
                 metaspace=metaspace, bert=lambda: bert(True), bertcased=lambda: bert(False))
    for name, make in kinds.items():
        made = make()
        value = None
        if isinstance(made, tuple):
            made, value = made
        value = value or json.loads(made.to_str())
        with open(os.path.join(HERE, f"{name}.json"), "w") as file:
            json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
        made = Tokenizer.from_file(os.path.join(HERE, f"{name}.json"))
        rng = random.Random(7)
        lines = []
        for text in rows:
            plain = made.encode(text, add_special_tokens=False).ids
            marked = made.encode(text).ids
            start = next(i for i in range(len(marked) + 1) if marked[i:i + len(plain)] == plain)
            behind = len(marked) - start - len(plain)
            lines.append([plain, marked[:start], marked[len(marked) - behind:]])
        dump(f"{name}.ids.jsonl", lines)
        decoded = [made.decode(l[1] + l[0] + l[2], skip_special_tokens=True) for l in lines]
        # A line is null where the text comes back as it was.
        dump(f"{name}.text.jsonl", [None if d == t else d for d, t in zip(decoded, rows)])
        count = made.get_vocab_size()
        drawn = [[rng.randrange(count + 3) for _ in range(rng.randint(0, 12))] for _ in range(300)]
        dump(f"{name}.drawn.jsonl", [[d, made.decode(d, skip_special_tokens=i % 2 == 0)] for i, d in enumerate(drawn)])


main()
