// Apache-2.0.

/// Canonical decomposition and composition (Unicode Standard, section 3.11), by the library's tables.
enum CanonicalForm {
  /// Normalisation form D.
  static func decomposed(_ scalars: [UInt32]) -> [UInt32] {
    let tables = CanonicalTables.shared
    var result: [UInt32] = []
    result.reserveCapacity(scalars.count)
    for scalar in scalars { tables.decompose(scalar, into: &result) }
    order(&result, tables)
    return result
  }

  /// Normalisation form C.
  static func composed(_ scalars: [UInt32]) -> [UInt32] {
    // Below U+0300 nothing decomposes that would not compose again, and nothing combines.
    if scalars.allSatisfy({ $0 < 0x300 }) { return scalars }
    let tables = CanonicalTables.shared
    var result = decomposed(scalars)
    var starter: Int?
    var lastClass: UInt8 = 0
    var end = 0
    for scalar in result {
      let classOf = tables.combiningClass(scalar)
      if let start = starter, lastClass < classOf || lastClass == 0 && end == start + 1,
        let composite = tables.composite(result[start], scalar)
      {
        result[start] = composite
        continue
      }
      if classOf == 0 { starter = end }
      lastClass = classOf
      result[end] = scalar
      end += 1
    }
    result.removeSubrange(end...)
    return result
  }

  /// Sorts each run of combining marks by class, equal classes in their order.
  private static func order(_ scalars: inout [UInt32], _ tables: CanonicalTables) {
    var start = 0
    while start < scalars.count {
      guard scalars[start] >= 0x300, tables.combiningClass(scalars[start]) != 0 else {
        start += 1
        continue
      }
      var end = start
      while end < scalars.count, tables.combiningClass(scalars[end]) != 0 { end += 1 }
      if end - start > 1 {
        // Stable, and no slower than n log n on a text that is all marks.
        let sorted = scalars[start..<end].enumerated().sorted {
          let (left, right) = (
            tables.combiningClass($0.element), tables.combiningClass($1.element)
          )
          return left != right ? left < right : $0.offset < $1.offset
        }
        scalars.replaceSubrange(start..<end, with: sorted.map(\.element))
      }
      start = end
    }
  }
}

/// The tables of `UnicodeTables` in the form that look-ups want.
struct CanonicalTables: Sendable {
  static let shared = CanonicalTables()

  private var decompositions: [UInt32: (first: UInt32, second: UInt32)] = [:]
  private var composites: [UInt64: UInt32] = [:]
  private var classes: [UInt32: UInt8] = [:]

  private init() {
    var excluded = Set<UInt32>()
    var end: UInt32 = 0
    let gaps = UnicodeTables.compositionExclusions
    for position in stride(from: 0, to: gaps.count, by: 2) {
      let first = end + gaps[position]
      end = first + gaps[position + 1]
      excluded.formUnion(first..<end)
    }
    end = 0
    let pairs = UnicodeTables.decompositions
    for position in stride(from: 0, to: pairs.count, by: 3) {
      let scalar = end + pairs[position]
      let (first, second) = (pairs[position + 1], pairs[position + 2])
      decompositions[scalar] = (first, second)
      if second != 0, !excluded.contains(scalar) { composites[Self.key(first, second)] = scalar }
      end = scalar + 1
    }
    end = 0
    let runs = UnicodeTables.combiningClasses
    for position in stride(from: 0, to: runs.count, by: 3) {
      let first = end + runs[position]
      end = first + runs[position + 1]
      for scalar in first..<end { classes[scalar] = UInt8(runs[position + 2]) }
    }
  }

  private static func key(_ first: UInt32, _ second: UInt32) -> UInt64 {
    UInt64(first) << 32 | UInt64(second)
  }

  func combiningClass(_ scalar: UInt32) -> UInt8 { scalar < 0x300 ? 0 : classes[scalar] ?? 0 }

  func decompose(_ scalar: UInt32, into result: inout [UInt32]) {
    if scalar < 0xC0 {
      result.append(scalar)
    } else if case 0..<11172 = Int(scalar) - 0xAC00 {
      // Hangul by arithmetic: leading, vowel, trailing.
      let index = scalar - 0xAC00
      result.append(0x1100 + index / 588)
      result.append(0x1161 + index % 588 / 28)
      if index % 28 != 0 { result.append(0x11A7 + index % 28) }
    } else if let pair = decompositions[scalar] {
      // A decomposition's first part is always shorter, so this ends.
      decompose(pair.first, into: &result)
      if pair.second != 0 { decompose(pair.second, into: &result) }
    } else {
      result.append(scalar)
    }
  }

  func composite(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if case 0..<19 = Int(first) - 0x1100, case 0..<21 = Int(second) - 0x1161 {
      return 0xAC00 + (first - 0x1100) * 588 + (second - 0x1161) * 28
    }
    if case 0..<11172 = Int(first) - 0xAC00, (first - 0xAC00) % 28 == 0,
      case 1..<28 = Int(second) - 0x11A7
    {
      return first + second - 0x11A7
    }
    return composites[Self.key(first, second)]
  }
}
