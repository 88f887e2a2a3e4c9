// Apache-2.0.

/// Lower case of single characters; what surrounds them plays no part.
enum LowerCase {
  private static let table: [UInt32: UInt32] = {
    var table: [UInt32: UInt32] = [:]
    let runs = UnicodeTables.lowercase
    var end: Int32 = 0
    for position in stride(from: 0, to: runs.count, by: 4) {
      let (count, step, distance) = (runs[position + 1], runs[position + 2], runs[position + 3])
      var scalar = end + runs[position]
      for _ in 0..<count {
        table[UInt32(scalar)] = UInt32(scalar + distance)
        end = scalar + 1
        scalar += step
      }
    }
    return table
  }()

  /// Characters in lower case.
  static func of(_ scalars: [UInt32]) -> [UInt32] {
    var result: [UInt32] = []
    result.reserveCapacity(scalars.count)
    for scalar in scalars {
      switch scalar {
      case 0x41...0x5A: result.append(scalar + 0x20)
      case 0..<0x80: result.append(scalar)
      // The one character whose lower case is two: I with a dot above.
      case 0x130: result += [0x69, 0x307]
      default: result.append(table[scalar] ?? scalar)
      }
    }
    return result
  }
}
