// Apache-2.0.
// RunLedger
