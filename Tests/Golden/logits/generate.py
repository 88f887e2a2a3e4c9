#!/usr/bin/env python3
"""Tiny random models of each family and their logits by transformers.

Made with torch 2.13.0+cpu, transformers 5.23.0, safetensors; run it here:
    python3 generate.py [NAME ...]
Each folder gets config.json, the weights as stored, and expected.safetensors with input_ids [B, T],
lengths [B] and logits (or hidden) computed in float32 from the stored weights.
"""
import json, pathlib, shutil, sys
import torch
from safetensors.torch import load_file, save_file
from transformers import (BertConfig, BertForSequenceClassification, BertModel, GPT2Config,
                          GPT2ForSequenceClassification, GPT2LMHeadModel, LlamaConfig,
                          LlamaForCausalLM, LlamaForSequenceClassification, MistralConfig,
                          MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM)

HERE = pathlib.Path(__file__).parent
DECODER = dict(vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=2,
               num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
               initializer_range=0.2, pad_token_id=0, bos_token_id=1, eos_token_id=2)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=16)
BERT = dict(vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=32, type_vocab_size=2,
            initializer_range=0.2)
GPT2 = dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2,
            pad_token_id=0, bos_token_id=1, eos_token_id=2)

CASES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**DECODER), {}),
    "llama-tied-bf16": (LlamaForCausalLM, LlamaConfig(**DECODER, tie_word_embeddings=True),
                        dict(dtype=torch.bfloat16)),
    "llama3-rope": (LlamaForCausalLM, LlamaConfig(**DECODER, rope_parameters=LLAMA3, head_dim=12), {}),
    "llama-linear-rope-biases": (LlamaForCausalLM, LlamaConfig(
        **{**DECODER, "num_key_value_heads": 4}, attention_bias=True, mlp_bias=True,
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)), {}),
    "llama-classes": (LlamaForSequenceClassification, LlamaConfig(**DECODER, num_labels=3), {}),
    "mistral-f16-sharded": (MistralForCausalLM, MistralConfig(**DECODER, sliding_window=40),
                            dict(dtype=torch.float16, shard="20KB")),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**DECODER, tie_word_embeddings=True), {}),
    "bert": (BertModel, BertConfig(**BERT), {}),
    "bert-classes": (BertForSequenceClassification,
                     BertConfig(**BERT, num_labels=5, hidden_act="gelu_new"), {}),
    "gpt2": (GPT2LMHeadModel, GPT2Config(**GPT2), {}),
    "gpt2-classes": (GPT2ForSequenceClassification,
                     GPT2Config(**GPT2, n_inner=56, num_labels=3), dict(dtype=torch.float16)),
}

for index, (name, (kind, config, options)) in enumerate(CASES.items()):
    if name not in (sys.argv[1:] or CASES):
        continue
    torch.manual_seed(index)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model = kind(config).eval()
    with torch.no_grad():  # biases and norms that are not trivial
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model = model.to(options.get("dtype", torch.float32))
    model.save_pretrained(folder, max_shard_size=options.get("shard", "1GB"))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "llama-tied-bf16":  # as transformers 4 writes it
        path = folder / "config.json"
        written = json.loads(path.read_text())
        rope = written.pop("rope_parameters", None) or {}
        written["rope_theta"] = rope.get("rope_theta", 10000.0)
        written["rope_scaling"] = None
        written["torch_dtype"] = written.pop("dtype", "bfloat16")
        path.write_text(json.dumps(written, indent=2) + "\n")
    if name == "bert-classes":
        path = folder / "config.json"
        written = json.loads(path.read_text())
        written["id2label"] = {str(i): f"label {i}" for i in range(5)}
        path.write_text(json.dumps(written, indent=2) + "\n")
    lengths = torch.tensor([19, 7, 12])
    ids = torch.randint(3, 96, (3, 19))
    mask = torch.arange(19)[None, :] < lengths[:, None]
    ids = torch.where(mask, ids, torch.zeros_like(ids))
    with torch.no_grad():
        # Read again from the folder: casting a model would round its rotary frequencies too.
        loaded = kind.from_pretrained(folder, dtype=torch.float32).eval()
        out = loaded(input_ids=ids, attention_mask=mask.long())
    tensors = dict(input_ids=ids.float(), lengths=lengths.float())
    if hasattr(out, "logits"):
        tensors["logits"] = out.logits.float().contiguous()
    else:
        tensors["hidden"] = out.last_hidden_state.float().contiguous()
        tensors["pooled"] = out.pooler_output.float().contiguous()
    save_file(tensors, folder / "expected.safetensors")
    print(name, {k: tuple(v.shape) for k, v in tensors.items()})
