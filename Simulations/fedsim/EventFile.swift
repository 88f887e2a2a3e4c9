// Apache-2.0.
import ModelFiles

/// The event log of a simulation: written anew from the first event, also where a run is resumed.
final class EventFile {
  private var file: AppendFile
  private var lines: [UInt8] = []
  /// Why lines are missing.
  private var failure: ModelFileError?

  init(_ path: String) throws(ModelFileError) { file = try AppendFile(path: path, keeping: 0) }

  /// Adds a line.
  func write(_ line: String) {
    lines.append(contentsOf: line.utf8)
    lines.append(UInt8(ascii: "\n"))
    if lines.count >= 1 << 16 { flush() }
  }

  /// Writes what waits.
  ///
  /// - Throws: `ModelFileError` where lines could not be written.
  func finish() throws(ModelFileError) {
    flush()
    if let failure { throw failure }
  }

  private func flush() {
    defer { lines = [] }
    guard failure == nil else { return }
    do throws(ModelFileError) { try file.write(lines) } catch { failure = error }
  }
}
