// Apache-2.0.
// Tensors
