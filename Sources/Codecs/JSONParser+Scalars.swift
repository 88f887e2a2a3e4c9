// Apache-2.0.

extension JSONParser {
  /// A quoted string; the position is at its opening quote.
  mutating func string(quote: UInt8) throws(JSONError) -> String {
    let opening = position
    position += 1
    var start = position
    var decoded: [UInt8] = []
    while let byte = next {
      if byte == quote {
        let last = bytes[start..<position]
        position += 1
        let text =
          decoded.isEmpty
          ? String(validating: last, as: UTF8.self)
          : String(validating: decoded + last, as: UTF8.self)
        guard let text else { throw failure("a string that is not UTF-8", at: opening) }
        return text
      }
      if byte == UInt8(ascii: "\\") {
        decoded += bytes[start..<position]
        position += 1
        try escape(into: &decoded)
        start = position
      } else if byte < 0x20 {
        throw failure("a control character in a string must be escaped")
      } else {
        position += 1
      }
    }
    throw failure("a string without its closing quote", at: opening)
  }

  private mutating func escape(into decoded: inout [UInt8]) throws(JSONError) {
    guard let byte = next else { throw failure("an escape without its character") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
    case UInt8(ascii: "b"): decoded.append(0x08)
    case UInt8(ascii: "f"): decoded.append(0x0C)
    case UInt8(ascii: "n"): decoded.append(0x0A)
    case UInt8(ascii: "r"): decoded.append(0x0D)
    case UInt8(ascii: "t"): decoded.append(0x09)
    case UInt8(ascii: "u"): decoded += Array(String(Character(try escapedScalar())).utf8)
    case UInt8(ascii: "'") where json5: decoded.append(byte)
    case UInt8(ascii: "\n") where json5: break
    default: throw failure("an unknown escape", at: position - 1)
    }
  }

  /// The scalar of one \uXXXX, or of a surrogate pair of them.
  private mutating func escapedScalar() throws(JSONError) -> Unicode.Scalar {
    let start = position - 2
    let high = try fourDigits()
    if let scalar = Unicode.Scalar(high) { return scalar }
    guard (0xD800..<0xDC00).contains(high), bytes[position...].starts(with: Array("\\u".utf8))
    else {
      throw failure("half of a surrogate pair", at: start)
    }
    position += 2
    let low = try fourDigits()
    guard (0xDC00..<0xE000).contains(low),
      let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
    else { throw failure("half of a surrogate pair", at: start) }
    return scalar
  }

  private mutating func fourDigits() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Self.hexadecimal(byte) else {
        throw failure("expected four hexadecimal digits")
      }
      value = value << 4 | digit
      position += 1
    }
    return value
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  /// A number; integer literals that fit stay integers.
  mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    var negative = false
    if next == UInt8(ascii: "-") || next == UInt8(ascii: "+") {
      negative = next == UInt8(ascii: "-")
      position += 1
    }
    if json5, next == UInt8(ascii: "0"), position + 1 < bytes.count,
      bytes[position + 1] | 0x20 == UInt8(ascii: "x")
    {
      position += 2
      return try hexadecimalNumber(from: start, negative: negative)
    }
    let whole = digits()
    // 01 is no number in either dialect.
    if whole > 1, bytes[position - whole] == UInt8(ascii: "0") {
      throw failure("a number with a leading zero", at: start)
    }
    var isInteger = true
    var fraction = 0
    if next == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      fraction = digits()
      if !json5, fraction == 0 { throw failure("a number without digits after its point") }
    }
    guard whole > 0 || (json5 && fraction > 0) else { throw failure("expected digits") }
    if let byte = next, byte | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      if next == UInt8(ascii: "-") || next == UInt8(ascii: "+") { position += 1 }
      if digits() == 0 { throw failure("a number without digits in its exponent") }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int64(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      throw failure("a number beyond binary64", at: start)
    }
    return .number(value)
  }

  private mutating func hexadecimalNumber(
    from start: Int,
    negative: Bool
  ) throws(JSONError) -> JSONValue {
    var value: Int64 = 0
    let first = position
    while let byte = next, let digit = Self.hexadecimal(byte) {
      guard value <= Int64.max >> 4 else { throw failure("a number beyond 64 bits", at: start) }
      value = value << 4 | Int64(digit)
      position += 1
    }
    guard position > first else { throw failure("expected hexadecimal digits") }
    return .integer(negative ? -value : value)
  }

  private mutating func digits() -> Int {
    let start = position
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    return position - start
  }
}
