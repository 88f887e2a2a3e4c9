// Apache-2.0.
// Execution
