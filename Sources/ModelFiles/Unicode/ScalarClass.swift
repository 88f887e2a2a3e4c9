// Apache-2.0.

/// The sets of characters that tokenizers ask about, as flags of one table.
struct ScalarClass: OptionSet, Sendable {
  let rawValue: UInt16

  static let letter = ScalarClass(rawValue: 1)
  static let number = ScalarClass(rawValue: 2)
  static let space = ScalarClass(rawValue: 4)
  static let digit = ScalarClass(rawValue: 8)
  static let word = ScalarClass(rawValue: 16)
  static let dropped = ScalarClass(rawValue: 32)
  static let punctuation = ScalarClass(rawValue: 64)
  static let mark = ScalarClass(rawValue: 128)
  static let ideograph = ScalarClass(rawValue: 256)

  /// The flags of a character.
  static func of(_ scalar: UInt32) -> ScalarClass { table[scalar] }

  /// The table itself, for loops that should not look for it at every character.
  static let table = Table()

  /// Flags in blocks of 256 characters, equal blocks kept once.
  struct Table: Sendable {
    private let index: [UInt16]
    private let blocks: [UInt16]

    init() {
      var flat = [UInt16](repeating: 0, count: 0x110000)
      let sets: [([UInt32], ScalarClass)] = [
        (UnicodeTables.letter, .letter), (UnicodeTables.number, .number),
        (UnicodeTables.space, .space), (UnicodeTables.digit, .digit),
        (UnicodeTables.word, .word), (UnicodeTables.dropped, .dropped),
        (UnicodeTables.punctuation, .punctuation), (UnicodeTables.mark, .mark),
        (UnicodeTables.ideograph, .ideograph),
      ]
      for (gaps, flag) in sets {
        var end = 0
        for position in stride(from: 0, to: gaps.count, by: 2) {
          let first = end + Int(gaps[position])
          end = first + Int(gaps[position + 1])
          for scalar in first..<end { flat[scalar] |= flag.rawValue }
        }
      }
      var known: [ArraySlice<UInt16>: UInt16] = [:]
      var index: [UInt16] = []
      var blocks: [UInt16] = []
      for start in stride(from: 0, to: flat.count, by: 256) {
        let block = flat[start..<start + 256]
        if let position = known[block] {
          index.append(position)
        } else {
          let position = UInt16(blocks.count / 256)
          known[block] = position
          index.append(position)
          blocks += block
        }
      }
      self.index = index
      self.blocks = blocks
    }

    subscript(scalar: UInt32) -> ScalarClass {
      ScalarClass(rawValue: blocks[Int(index[Int(scalar >> 8)]) << 8 | Int(scalar & 255)])
    }
  }
}
