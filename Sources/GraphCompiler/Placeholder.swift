// Apache-2.0.
// GraphCompiler
