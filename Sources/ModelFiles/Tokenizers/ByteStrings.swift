// Apache-2.0.

/// Byte strings one behind another in one array, for lists too long to hold as strings.
struct ByteStrings: Sendable {
  private(set) var bytes: [UInt8] = []
  private var ends: [UInt32] = []

  /// Strings held.
  var count: Int { ends.count }

  /// Adds a string; false where the bytes would exceed what 32 bits can point at.
  mutating func append(_ text: some Sequence<UInt8>) -> Bool {
    bytes += text
    guard bytes.count <= Int(UInt32.max) else { return false }
    ends.append(UInt32(bytes.count))
    return true
  }

  /// Where a string is in `bytes`.
  func range(_ position: Int) -> Range<Int> {
    Int(position == 0 ? 0 : ends[position - 1])..<Int(ends[position])
  }
}
