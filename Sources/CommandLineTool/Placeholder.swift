// Apache-2.0.
// CommandLineTool
