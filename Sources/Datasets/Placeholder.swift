// Apache-2.0.
// Datasets
