// Apache-2.0.
import Glibc

/// Standard output and standard error of a program: data to the first, everything else to the second.
///
/// Lines of several threads do not mix: each is one `write`.
public struct Console: Sendable {
  /// How results are written.
  public enum Format: String, Sendable {
    /// For people.
    case text
    /// One JSON document, or one a line.
    case json
  }

  /// What `--format` asked for.
  public let format: Format
  /// Whether standard error is a terminal, so that a line may be drawn over.
  public let isTerminal: Bool
  /// Whether colours are welcome: a terminal, and NO_COLOR is not set.
  public let usesColour: Bool
  private let output: Int32
  private let diagnostics: Int32

  /// A console over two file descriptors, which the caller goes on owning.
  public init(
    format: Format = .text,
    output: Int32 = 1,
    diagnostics: Int32 = 2,
    isColourAllowed: Bool = true
  ) {
    self.format = format
    self.output = output
    self.diagnostics = diagnostics
    isTerminal = isatty(diagnostics) == 1
    usesColour = isTerminal && isColourAllowed
  }

  /// Writes a line of data to standard output.
  public func write(_ line: String) { Self.write(line + "\n", to: output) }

  /// Writes bytes of data to standard output.
  public func write(bytes: [UInt8]) { Self.write(bytes, to: output) }

  /// Writes a line to standard error.
  public func note(_ line: String) { Self.write(line + "\n", to: diagnostics) }

  /// Draws over the current line of the terminal.
  ///
  /// Does nothing where standard error is not a terminal.
  public func redraw(_ line: String) {
    guard isTerminal else { return }
    Self.write("\r\u{1B}[2K\(line)", to: diagnostics)
  }

  private static func write(_ text: String, to descriptor: Int32) {
    write(Array(text.utf8), to: descriptor)
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) {
    var written = 0
    while written < bytes.count {
      // SAFETY: the pointer and length describe the rest of `bytes`, alive within the closure.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(
          descriptor,
          buffer.baseAddress.map { unsafe $0 + written },
          buffer.count - written
        )
      }
      if count < 0, errno == EINTR { continue }
      // A reader that went away (`| head`) is not an error of ours.
      guard count > 0 else { return }
      written += count
    }
  }
}
