// Apache-2.0.
public import Codecs
public import Datasets

/// A batch with what the loss counts, in the form in which other frameworks are given one.
public struct LabelledRows: Sendable {
  /// One example a row, without its padding.
  public let examples: [Example]

  /// Rows of a language model, or of a classifier.
  ///
  ///     {"input_ids": [[…], …], "attention_mask": [[1, …, 0], …], "labels": [[…], …] or [0, 2, …]}
  ///     {"values": [[…], …], "labels": [0, 2, …]}
  ///
  /// Labels of a language model are ids as they stand in `input_ids`, not shifted, and -100 where the
  /// loss counts nothing; those of a classifier are one class a row.
  ///
  /// - Parameter valueCount: values of a row, where the model reads these instead of tokens.
  /// - Throws: `JSONError` with the path of what is wrong.
  public init(
    _ json: JSONValue,
    isClassifier: Bool,
    valueCount: Int = 0
  ) throws(JSONError) {
    guard valueCount == 0 else {
      examples = try Self.values(json, count: valueCount)
      return
    }
    let rows = try TokenRows(json)
    let field = JSONField(json, path: "")["labels"]
    let labels = try field.items()
    guard labels.count == rows.ids.count else {
      throw field.unexpected("\(rows.ids.count) rows, as many as input_ids")
    }
    var examples: [Example] = []
    for (row, label) in labels.enumerated() {
      let length = Int(rows.lengths[row])
      let tokens = Array(rows.ids[row][..<length])
      if isClassifier {
        let index = Int32(try label.integer(in: 0...Int(Int32.max)))
        examples.append(Example(tokens: tokens, labels: tokens, classIndex: index))
        continue
      }
      let items = try label.items()
      guard items.count == rows.ids[row].count else {
        throw label.unexpected("\(rows.ids[row].count) labels, one an id, -100 to count nothing")
      }
      var values: [Int32] = []
      for (position, item) in items.enumerated() {
        let value = Int32(try item.integer(in: Int(Example.masked)...Int(Int32.max)))
        guard value >= 0 || value == Example.masked else { throw item.unexpected("an id or -100") }
        guard position < length || value == Example.masked else {
          throw item.unexpected("-100 in the padding")
        }
        values.append(value)
      }
      examples.append(Example(tokens: tokens, labels: Array(values[..<length])))
    }
    self.examples = examples
  }

  private static func values(_ json: JSONValue, count: Int) throws(JSONError) -> [Example] {
    let rows = try ValueRows(json, count: count).rows
    let field = JSONField(json, path: "")["labels"]
    let labels = try field.items()
    guard labels.count == rows.count else {
      throw field.unexpected("\(rows.count) labels, one a row of values")
    }
    var examples: [Example] = []
    for (row, label) in zip(rows, labels) {
      let index = Int32(try label.integer(in: 0...Int(Int32.max)))
      examples.append(Example(values: row, classIndex: index))
    }
    return examples
  }
}
