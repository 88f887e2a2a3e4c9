// Apache-2.0.

/// How an element is stored; raw values are those of `samara_element_type`.
public enum ElementType: UInt8, Sendable, Hashable, CaseIterable {
  /// IEEE binary32.
  case f32 = 0
  /// IEEE binary16.
  case f16 = 1
  /// The upper half of binary32.
  case bf16 = 2
  /// Integers −127 … 127 times a scale of their row; in memory alone, never in a file.
  case i8 = 3

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .i8: 1
    }
  }
}
