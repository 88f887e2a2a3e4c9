// Apache-2.0.

/// A text and the parts of it that the model sees one by one.
struct Pieces {
  /// The text, UTF-8.
  var bytes: [UInt8]
  /// The parts in their order, none empty; what lies between them is left out.
  var ranges: [Range<Int>]
  /// Whether the first part begins the whole text rather than following a token in it.
  let isFirst: Bool

  init(_ bytes: [UInt8], isFirst: Bool) {
    self.bytes = bytes
    ranges = bytes.isEmpty ? [] : [0..<bytes.count]
    self.isFirst = isFirst
  }

  /// Cuts every part further: `body` appends the parts of a part.
  mutating func cut(_ body: ([UInt8], Range<Int>, inout [Range<Int>]) -> Void) {
    var finer: [Range<Int>] = []
    finer.reserveCapacity(max(ranges.count, bytes.count / 4))
    for range in ranges { body(bytes, range, &finer) }
    ranges = finer
  }

  /// Replaces the text of every part: `body` appends the new text of the part of this number.
  mutating func rewrite(_ body: (Int, ArraySlice<UInt8>, inout [UInt8]) -> Void) {
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count + ranges.count)
    for position in ranges.indices {
      let start = text.count
      body(position, bytes[ranges[position]], &text)
      ranges[position] = start..<text.count
    }
    bytes = text
  }
}
