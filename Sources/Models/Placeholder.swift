// Apache-2.0.
// Models
