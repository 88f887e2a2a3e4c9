// Apache-2.0.
// Transport
