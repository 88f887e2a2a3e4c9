// Apache-2.0.
import CKernels

extension DirectionBank {
  /// Rows of a Hadamard bank: 2^6 to 2^16, so that a block is whole words of signs.
  public static let hadamardLog2Range = 6...16

  /// Writes the sign bits of direction `index`.
  ///
  /// Bit i of `signs` is element `elements.lowerBound` + i, set for −1. Disjoint ranges may be filled from several threads.
  ///
  /// - Parameters:
  ///   - index: row of the bank.
  ///   - elements: parameters, the lower bound a multiple of 128.
  ///   - signs: ⌈elements.count / 128⌉ · 2 words.
  public func fillSigns(
    _ index: UInt32,
    elements: Range<Int>,
    into signs: inout MutableSpan<UInt64>
  ) {
    precondition(elements.lowerBound % 128 == 0, "a range of signs starts at a multiple of 128")
    let words = (elements.count + 127) / 128 * 2
    precondition(signs.count >= words, "\(signs.count) words for \(elements.count) signs")
    switch family {
    case .independent:
      fill(
        &signs,
        words: words,
        purpose: .independentSigns,
        direction: index,
        block: elements.lowerBound >> 7
      )
    case .hadamard(let log2Count):
      precondition(Self.hadamardLog2Range.contains(log2Count))
      precondition(Int(index) < 1 << log2Count, "row \(index) of 2^\(log2Count)")
      fill(
        &signs,
        words: words,
        purpose: .hadamardColumns,
        direction: 0,
        block: elements.lowerBound >> 7
      )
      // Within a word the low six bits of the element run; the rest of the row's parity is one bit.
      var pattern: UInt64 = 0
      for bit in 0..<64 where (bit & Int(index) & 63).nonzeroBitCount % 2 == 1 {
        pattern |= 1 << UInt64(bit)
      }
      let inBlock = (1 << log2Count) - 1
      var rowBlock = -1
      var row: UInt64 = 0
      for word in 0..<words {
        let element = elements.lowerBound + 64 * word
        if element >> log2Count != rowBlock {
          rowBlock = element >> log2Count
          row = rowSign(index, block: rowBlock, log2Count: log2Count) ? ~0 : 0
        }
        let odd = (element & inBlock & Int(index)).nonzeroBitCount % 2 == 1
        signs[word] ^= pattern ^ row ^ (odd ? ~0 : 0)
      }
    }
  }

  /// Philox bits in the order of elements: block `block` + i is words 2i and 2i+1.
  func fill(
    _ signs: inout MutableSpan<UInt64>,
    words: Int,
    purpose: Purpose,
    direction: UInt32,
    block: Int
  ) {
    let counter = counter(purpose, direction: direction, block: block)
    // SAFETY: the table is built once and never freed; `words` was checked against the span, and
    // both supported machines are little-endian, so four 32-bit words are two 64-bit ones.
    unsafe signs.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress, words > 0 else { return }
      unsafe base.withMemoryRebound(to: UInt32.self, capacity: words * 2) { output in
        unsafe samara_kernels().pointee.philox_fill(output, Int64(words / 2), counter, keyWords)
      }
    }
  }

  /// The Philox counter of a block of 128 elements.
  func counter(_ purpose: Purpose, direction: UInt32, block: Int) -> [UInt32] {
    [UInt32(truncatingIfNeeded: block), epoch, direction, UInt32(purpose.rawValue) << 24]
  }

  /// The Philox key, low word first.
  var keyWords: [UInt32] {
    [UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32)]
  }

  /// Whether S_b[row] is −1: bit b·K + row of the row signs.
  func rowSign(_ row: UInt32, block: Int, log2Count: Int) -> Bool {
    let position = block << log2Count + Int(row)
    let words = Philox.block(
      SIMD4(
        UInt32(truncatingIfNeeded: position >> 7),
        epoch,
        0,
        UInt32(Purpose.hadamardRows.rawValue) << 24
      ),
      key: key
    )
    return words[(position >> 5) & 3] >> UInt32(position & 31) & 1 == 1
  }
}
