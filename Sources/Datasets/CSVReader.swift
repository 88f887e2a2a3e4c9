// Apache-2.0.

/// Records of comma-separated values as RFC 4180 has them: fields may be quoted, and a quoted field
/// may hold commas, line ends and doubled quotes.
struct CSVReader: ~Copyable {
  private var source: ByteSource
  private let limit: Int
  private var line = 1
  /// A byte read too far.
  private var returned: UInt8?

  private static let quote = UInt8(ascii: "\"")
  private static let comma = UInt8(ascii: ",")
  private static let lineFeed = UInt8(ascii: "\n")
  private static let carriageReturn = UInt8(ascii: "\r")

  /// Records of at most `limit` bytes; longer ones are passed over and told as faults.
  init(path: String, limit: Int) throws(DatasetError) {
    source = try ByteSource(path: path)
    self.limit = limit
  }

  /// The next record, nil at the end of the file.
  mutating func next() throws(DatasetError) -> Numbered<[String]>? {
    guard let first = try nextByte() else { return nil }
    returned = first
    let start = line
    var record = Record(limit: limit)
    while true {
      let end = try field(&record)
      record.endField()
      if end != Self.comma { break }
    }
    return Numbered(line: start, content: record.result)
  }

  /// Reads a field up to the byte that ends it: a comma, a line feed, or nil at the end of the file.
  private mutating func field(_ record: inout Record) throws(DatasetError) -> UInt8? {
    guard let first = try nextByte() else { return nil }
    if first == Self.quote { return try quotedField(&record) }
    var byte = first
    while byte != Self.comma, byte != Self.lineFeed {
      if byte == Self.quote { record.fault = "a quote within a field that is not quoted" }
      if byte == Self.carriageReturn {
        guard let following = try nextByte() else { return nil }
        if following == Self.lineFeed { return following }
        record.append(byte)
        byte = following
        continue
      }
      record.append(byte)
      guard let following = try nextByte() else { return nil }
      byte = following
    }
    return byte
  }

  private mutating func quotedField(_ record: inout Record) throws(DatasetError) -> UInt8? {
    while let byte = try nextByte() {
      guard byte == Self.quote else {
        record.append(byte)
        continue
      }
      var following = try nextByte()
      if following == Self.quote {
        record.append(Self.quote)
        continue
      }
      if following == Self.carriageReturn { following = try nextByte() }
      while let byte = following, byte != Self.comma, byte != Self.lineFeed {
        record.fault = "text behind a closing quote"
        following = try nextByte()
      }
      return following
    }
    record.fault = "a quoted field is not closed"
    return nil
  }

  private mutating func nextByte() throws(DatasetError) -> UInt8? {
    if let byte = returned {
      returned = nil
      return byte
    }
    let byte = try source.next()
    if byte == Self.lineFeed { line += 1 }
    return byte
  }

  /// A record as it grows.
  private struct Record {
    let limit: Int
    var fault: String?
    private var bytes: [UInt8] = []
    private var fields: [String] = []
    private var total = 0

    init(limit: Int) { self.limit = limit }

    mutating func append(_ byte: UInt8) {
      total += 1
      if total <= limit { bytes.append(byte) } else { fault = "longer than \(limit) bytes" }
    }

    mutating func endField() {
      // A comma costs memory too: it opens a field.
      total += 1
      if total > limit, fault == nil { fault = "longer than \(limit) bytes" }
      if fault == nil {
        if let text = String(validating: bytes, as: UTF8.self) {
          fields.append(text)
        } else {
          fault = "not UTF-8"
        }
      }
      bytes.removeAll(keepingCapacity: true)
    }

    var result: Result<[String], RowFault> {
      if let fault { .failure(RowFault(reason: fault)) } else { .success(fields) }
    }
  }
}
