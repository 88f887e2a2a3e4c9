# Apache-2.0.
"""Trains the bundled decoder (Models/small-decoder): a 1.4 M-parameter Llama on the King James Bible.

python3 Models/train_decoder.py --cache CACHE --out Models/small-decoder [--steps 3000] [--minutes 20]

Made with Python 3.11, torch 2.13.0+cpu, transformers 5.23.0, tokenizers 0.23.3 on Debian 12.
Weights are stored in half precision; a second run on other hardware gives other bits.
"""
import argparse
import json
import math
import pathlib
import time

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import text_sources

SEED = 20
VOCABULARY = 1536
LENGTH = 128
BATCH = 16
BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"
LLAMA_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE with the splitting rule of Llama 3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA_3_SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[BEGIN, END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    ))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(
            single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B",
            special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))],
        ),
    ])
    return tokenizer


def configuration() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=160, intermediate_size=448, num_hidden_layers=4,
        num_attention_heads=5, num_key_value_heads=1, head_dim=32, max_position_embeddings=512,
        rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1,
        attention_dropout=0.0,
    )


def save(model: LlamaForCausalLM, out: pathlib.Path) -> None:
    half = LlamaForCausalLM(model.config)
    half.load_state_dict(model.state_dict())
    half.to(torch.float16).save_pretrained(out)


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--cache", type=pathlib.Path, required=True)
    parse.add_argument("--out", type=pathlib.Path, required=True)
    parse.add_argument("--steps", type=int, default=3000)
    parse.add_argument("--minutes", type=float, default=20, help="ends earlier, rate decayed to it")
    parse.add_argument("--threads", type=int, default=2)
    arguments = parse.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)
    arguments.out.mkdir(parents=True, exist_ok=True)

    chapters = text_sources.king_james(arguments.cache)
    kept = [text for index, text in enumerate(chapters) if index % 50 != 7]
    held = [text for index, text in enumerate(chapters) if index % 50 == 7]
    tokenizer = train_tokenizer(kept)
    tokenizer.save(str(arguments.out / "tokenizer.json"))
    (arguments.out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END,
        "clean_up_tokenization_spaces": False, "model_max_length": 512,
    }, indent=2) + "\n")

    def stream(texts: list[str]) -> torch.Tensor:
        return torch.tensor([token for text in texts for token in tokenizer.encode(text).ids + [1]])

    train, test = stream(kept), stream(held)
    print(f"{len(train)} training tokens, {len(test)} held out")
    model = LlamaForCausalLM(configuration())
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=3e-3, betas=(0.9, 0.95),
    )
    begun = time.monotonic()
    step, progress = 0, 0.0
    while progress < 1:
        rate = 3e-3 * min(1.0, (step + 1) / 100) * (
            0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(0, len(train) - LENGTH, (BATCH,))
        rows = torch.stack([train[s:s + LENGTH] for s in starts])
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        minutes = (time.monotonic() - begun) / 60
        progress = max(step / arguments.steps, minutes / arguments.minutes)
        if step % 250 == 0 or progress >= 1:
            save(model, arguments.out)
            with torch.no_grad():
                rows = test[:len(test) // LENGTH * LENGTH].view(-1, LENGTH)[:64]
                held_loss = model(input_ids=rows, labels=rows).loss.item()
            print(f"step {step} loss {loss.item():.3f} held out {held_loss:.3f} {minutes:.1f} min",
                  flush=True)


if __name__ == "__main__":
    main()
