// Apache-2.0.
// FineTuning
