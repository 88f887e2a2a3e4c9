// Apache-2.0.
public import Codecs

/// Rows of token ids of one length, padded on the right: the input of a forward pass.
public struct TokenRows: Sendable, Equatable {
  /// Ids of each row, padding included.
  public let ids: [[Int32]]
  /// Positions of each row before its padding.
  public let lengths: [Int32]

  /// More rows or positions than a forward pass of one batch is meant for.
  static let maximumTokens = 1 << 24

  /// Rows in the form that tokenizers of transformers return.
  ///
  ///     {"input_ids": [[…], …], "attention_mask": [[1, …, 0], …]}
  ///
  /// The mask may be missing: then nothing is padding. Its zeros must stand at the right.
  ///
  /// - Throws: `JSONError` with the path of what is wrong.
  public init(_ json: JSONValue) throws(JSONError) {
    let root = JSONField(json, path: "")
    let rows = try root["input_ids"].items()
    let masks = root["attention_mask"].isPresent ? try root["attention_mask"].items() : nil
    guard !rows.isEmpty else { throw root["input_ids"].unexpected("at least one row") }
    if let masks, masks.count != rows.count {
      throw root["attention_mask"].unexpected("\(rows.count) rows, as many as input_ids")
    }
    var ids: [[Int32]] = []
    var lengths: [Int32] = []
    for (index, row) in rows.enumerated() {
      var values: [Int32] = []
      for item in try row.items() { values.append(Int32(try item.integer(in: 0...Int(Int32.max)))) }
      let width = ids.first?.count ?? values.count
      guard values.count == width, width > 0, width * rows.count <= Self.maximumTokens else {
        throw row.unexpected("rows of one length above zero, padded on the right")
      }
      ids.append(values)
      lengths.append(
        try masks.map { masks throws(JSONError) in try Self.length(masks[index], width) }
          ?? Int32(width)
      )
    }
    self.ids = ids
    self.lengths = lengths
  }

  /// How many ones a row of a mask has before its zeros.
  private static func length(_ row: JSONField, _ width: Int) throws(JSONError) -> Int32 {
    let items = try row.items()
    guard items.count == width else { throw row.unexpected("\(width) numbers") }
    var length = 0
    for (position, item) in items.enumerated() where try item.integer(in: 0...1) == 1 {
      guard length == position else { throw row.unexpected("ones, then zeros: right padding") }
      length += 1
    }
    guard length > 0 else { throw row.unexpected("at least one 1") }
    return Int32(length)
  }
}
