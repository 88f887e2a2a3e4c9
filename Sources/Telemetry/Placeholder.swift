// Apache-2.0.
// Telemetry
