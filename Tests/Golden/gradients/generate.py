#!/usr/bin/env python3
"""Gradients and losses of the tiny models of ../logits by torch.autograd.

Made with torch 2.13.0+cpu, transformers 5.23.0, safetensors; run it here:
    python3 generate.py [NAME ...]
NAME.safetensors has input_ids [B, T], lengths [B], labels (ids as they are, -100 where nothing
counts; or one class a row), the mean `loss`, `grad.PARAMETER` of every parameter by its name in the
checkpoint, and `sgd` and `adamw`: the losses of 21 steps on that one batch, the first before any.
"""
import pathlib, sys
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import (BertForSequenceClassification, GPT2ForSequenceClassification,
                          GPT2LMHeadModel, LlamaForCausalLM, LlamaForSequenceClassification,
                          MistralForCausalLM, Qwen2ForCausalLM)

HERE = pathlib.Path(__file__).parent
CASES = {
    "llama": LlamaForCausalLM, "llama-tied-bf16": LlamaForCausalLM,
    "llama3-rope": LlamaForCausalLM, "llama-linear-rope-biases": LlamaForCausalLM,
    "llama-classes": LlamaForSequenceClassification, "mistral-f16-sharded": MistralForCausalLM,
    "qwen2": Qwen2ForCausalLM, "bert-classes": BertForSequenceClassification,
    "gpt2": GPT2LMHeadModel, "gpt2-classes": GPT2ForSequenceClassification,
}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01),
}

for index, (name, kind) in enumerate(CASES.items()):
    if name not in (sys.argv[1:] or CASES):
        continue
    torch.manual_seed(100 + index)
    folder = HERE.parent / "logits" / name
    lengths = torch.tensor([19, 7, 12])
    ids = torch.randint(3, 96, (3, 19))
    mask = torch.arange(19)[None, :] < lengths[:, None]
    ids = torch.where(mask, ids, torch.zeros_like(ids))
    if name.endswith("classes"):
        labels = torch.tensor([2, 0, 1])
    else:
        labels = torch.where(mask & (torch.rand(3, 19) < 0.8), ids, torch.full_like(ids, -100))

    def loaded():
        return kind.from_pretrained(folder, dtype=torch.float32).eval()

    def loss(model):
        return model(input_ids=ids, attention_mask=mask.long(), labels=labels).loss

    model = loaded()
    value = loss(model)
    value.backward()
    tensors = dict(input_ids=ids.float(), lengths=lengths.float(), labels=labels.float(),
                   loss=value.detach().reshape(1))
    for parameter, tensor in model.named_parameters():
        tensors[f"grad.{parameter}"] = tensor.grad.contiguous()
    for optimizer, make in OPTIMIZERS.items():
        model = loaded()
        steps = make(model.parameters())
        losses = []
        for step in range(21):
            value = loss(model)
            losses.append(value.item())
            steps.zero_grad()
            value.backward()
            steps.step()
        tensors[optimizer] = torch.tensor(losses)
    save_file(tensors, HERE / f"{name}.safetensors")
    print(name, float(tensors["loss"]), tensors["sgd"][-1].item(), tensors["adamw"][-1].item())
