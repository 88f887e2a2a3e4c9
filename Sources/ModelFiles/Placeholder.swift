// Apache-2.0.
// ModelFiles
