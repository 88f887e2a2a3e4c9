// Apache-2.0.
// placeholder
