// Apache-2.0. All dense kernels of one instruction set; LANES, MR and NV are given.
#pragma once
#include "attention_body.h"
#include "attention_gradient_body.h"
#include "convolution_body.h"
#include "cross_entropy_body.h"
#include "gradient_body.h"
#include "linear_body.h"
#include "linear_gradient_body.h"
#include "peak_body.h"
#include "pointwise_body.h"
#include "update_body.h"

static void install_gradients(samara_kernel_table *table) {
  table->linear_input_gradient = linear_input_gradient;
  table->linear_input_gradient_scratch_bytes = linear_input_gradient_scratch_bytes;
  table->linear_weight_gradient = linear_weight_gradient;
  table->linear_weight_gradient_scratch_bytes = linear_weight_gradient_scratch_bytes;
  table->column_sums = column_sums;
  table->activation_gradient = activation_gradient;
  table->silu_multiply_gradient = silu_multiply_gradient;
  table->rms_norm_gradient = rms_norm_gradient;
  table->layer_norm_gradient = layer_norm_gradient;
  table->softmax_gradient = softmax_gradient;
  table->attention_gradient = attention_gradient;
  table->attention_gradient_scratch_bytes = attention_gradient_scratch_bytes;
  table->rotary_gradient = rotary_gradient;
  table->embedding_gradient = embedding_gradient;
  table->logits_gradient = logits_gradient;
  table->scale = scale;
  table->optimizer_update = optimizer_update;
  table->sum_of_squares = sum_of_squares;
  table->squared_distance = squared_distance;
}

static void install_convolutions(samara_kernel_table *table) {
  table->depthwise = depthwise;
  table->depthwise_input_gradient = depthwise_input_gradient;
  table->depthwise_weight_gradient = depthwise_weight_gradient;
  table->depthwise_scratch_bytes = depthwise_scratch_bytes;
  table->unfold = unfold;
  table->average_pool = average_pool;
  table->average_pool_gradient = average_pool_gradient;
}

static void install_dense(samara_kernel_table *table) {
  install_convolutions(table);
  install_gradients(table);
  table->linear = linear;
  table->linear_scratch_bytes = linear_scratch_bytes;
  table->packed_bytes = packed_bytes;
  table->pack_weight = pack_weight;
  table->panel_bytes = panel_bytes;
  table->pack_panels = pack_panels;
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
