// Apache-2.0.

/// Bytes of a size as written by people; nil where it is none.
public func byteCount(_ text: String) -> Int? {
  let units: [(String, Double)] = [
    ("GiB", 1_073_741_824), ("MiB", 1_048_576), ("KiB", 1024), ("GB", 1e9), ("MB", 1e6),
    ("kB", 1e3), ("G", 1_073_741_824), ("M", 1_048_576), ("K", 1024), ("B", 1), ("", 1),
  ]
  for (unit, factor) in units where text.hasSuffix(unit) {
    guard let number = Double(text.dropLast(unit.count)), number > 0 else { return nil }
    return Int(exactly: (number * factor).rounded())
  }
  return nil
}
