// Apache-2.0.
// FederatedAlgorithms
