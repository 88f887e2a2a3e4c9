// Apache-2.0. All dense kernels of one instruction set; LANES, MR and NV are given.
#pragma once
#include "attention_body.h"
#include "cross_entropy_body.h"
#include "linear_body.h"
#include "peak_body.h"
#include "pointwise_body.h"

static void install_dense(samara_kernel_table *table) {
  table->linear = linear;
  table->linear_scratch_bytes = linear_scratch_bytes;
  table->packed_bytes = packed_bytes;
  table->pack_weight = pack_weight;
  table->materialize = materialize;
  table->embedding = embedding;
  table->rms_norm = rms_norm;
  table->layer_norm = layer_norm;
  table->softmax = softmax;
  table->attention = attention;
  table->attention_scratch_bytes = attention_scratch_bytes;
  table->rotary = rotary;
  table->activate = activate;
  table->silu_multiply = silu_multiply;
  table->add = add;
  table->cross_entropy = cross_entropy;
  table->cross_entropy_scratch_bytes = cross_entropy_scratch_bytes;
  table->multiply_add_peak = multiply_add_peak;
  table->multiply_add_flops = multiply_add_flops;
}
