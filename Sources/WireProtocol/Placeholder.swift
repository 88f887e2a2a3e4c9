// Apache-2.0.
// WireProtocol
