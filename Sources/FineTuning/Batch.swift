// Apache-2.0.
import Datasets
import Models

/// Examples side by side, padded on the right to one of few lengths.
struct Batch {
  /// Rows of the batch, B; rows past the examples are empty.
  let sequences: Int
  /// Positions of a row, T.
  let positions: Int
  /// Token ids [B, T], 0 in the padding.
  let ids: [Int32]
  /// Features or pixels of the rows, one after the other; none where the model reads tokens.
  let values: [Float]
  /// Positions before the padding [B]; 1 for an empty row, so that nothing divides by zero.
  let lengths: [Int32]
  /// What the loss counts: [B·T] shifted to the position that predicts, or [B] classes; −1 elsewhere.
  let labels: [Int32]
  /// Predictions the loss counts.
  let countedLabels: Int

  /// Assembles a batch for the head of a family.
  init(_ examples: [Example], rows: Int, head: ModelHead, family: any ModelFamily) {
    let valueCount = family.valueCount
    // Fields are read where they lie: a copy of an example counts references of all of them.
    let longest = examples.indices.reduce(1) { max($0, examples[$1].tokens.count) }
    sequences = rows
    positions = min(Self.bucket(max(1, longest)), family.maximumPositions)
    var ids = [Int32](repeating: 0, count: valueCount > 0 ? 0 : rows * positions)
    var lengths = [Int32](repeating: 1, count: rows)
    let isClassifier = head.isClassifier
    var labels = [Int32](repeating: -1, count: isClassifier ? rows : rows * positions)
    var values: [Float] = []
    values.reserveCapacity(rows * valueCount)
    for row in examples.indices {
      values.append(contentsOf: examples[row].values)
      let tokens = examples[row].tokens
      let count = min(tokens.count, positions)
      lengths[row] = Int32(max(1, count))
      for position in 0..<count { ids[row * positions + position] = tokens[position] }
      if isClassifier {
        labels[row] = examples[row].classIndex ?? -1
      } else {
        let wanted = examples[row].labels
        for position in 1..<max(1, count) where wanted[position] >= 0 {
          labels[row * positions + position - 1] = wanted[position]
        }
      }
    }
    if values.count < rows * valueCount {
      values.append(contentsOf: repeatElement(0, count: rows * valueCount - values.count))
    }
    self.ids = ids
    self.values = values
    self.lengths = lengths
    self.labels = labels
    countedLabels = labels.count { $0 >= 0 }
  }

  /// The length a row of `count` positions is padded to: few lengths, little padding.
  static func bucket(_ count: Int) -> Int {
    switch count {
    case ...64: (count + 15) / 16 * 16
    case ...256: (count + 31) / 32 * 32
    default: (count + 127) / 128 * 128
    }
  }
}

extension ModelHead {
  /// Whether there is one prediction a sequence.
  var isClassifier: Bool {
    if case .classifier = self { true } else { false }
  }
}
