// Apache-2.0.
public import Codecs

/// Rows of values of one length: the input of a forward pass of a model without tokens.
public struct ValueRows: Sendable, Equatable {
  /// Features of each row, or the pixels of an image row by row with their channels side by side.
  public let rows: [[Float]]

  /// Rows of `count` finite numbers.
  ///
  ///     {"values": [[…], …]}
  ///
  /// - Throws: `JSONError` with the path of what is wrong.
  public init(_ json: JSONValue, count: Int) throws(JSONError) {
    let field = JSONField(json, path: "")["values"]
    let items = try field.items()
    guard !items.isEmpty else { throw field.unexpected("at least one row") }
    var rows: [[Float]] = []
    for item in items {
      var row: [Float] = []
      for number in try item.items() {
        let value = Float(try number.number())
        guard value.isFinite else { throw number.unexpected("a number of single precision") }
        row.append(value)
      }
      guard row.count == count else {
        throw item.unexpected("\(count) numbers, as the model reads")
      }
      rows.append(row)
    }
    self.rows = rows
  }
}
