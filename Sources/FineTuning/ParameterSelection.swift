// Apache-2.0.

/// Which tensors can change, by patterns over their names.
///
/// `*` stands for any letters, `?` for one; a name is chosen by the last pattern that matches it, and
/// a pattern that begins with `!` takes it away.
public struct ParameterSelection: Sendable, Hashable {
  /// The patterns as written.
  public let patterns: [String]

  /// A selection.
  public init(_ patterns: [String]) { self.patterns = patterns }

  /// Whether a tensor of this name can change.
  public func contains(_ name: String) -> Bool {
    var chosen = false
    let letters = Array(name.utf8)
    for pattern in patterns {
      let isExclusion = pattern.hasPrefix("!")
      if Self.matches(Array(pattern.utf8.dropFirst(isExclusion ? 1 : 0)), letters) {
        chosen = !isExclusion
      }
    }
    return chosen
  }

  /// Whole-name match in time proportional to the product of the lengths.
  private static func matches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
    var (p, n) = (0, 0)
    var star: (pattern: Int, name: Int)?
    while n < name.count {
      if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
        star = (p, n)
        p += 1
      } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
        (p, n) = (p + 1, n + 1)
      } else if let last = star {
        // The star takes one letter more.
        star = (last.pattern, last.name + 1)
        (p, n) = (last.pattern + 1, last.name + 1)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
