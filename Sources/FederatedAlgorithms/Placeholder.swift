// FederatedAlgorithms
