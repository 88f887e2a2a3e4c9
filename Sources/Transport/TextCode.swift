// Apache-2.0.

/// Bytes as letters: base64url without padding (RFC 4648, section 5) and hexadecimal.
enum TextCode {
  private static let letters = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8
  )

  /// Bytes as base64url.
  static func base64(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    var (bits, width) = (UInt32(0), 0)
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      width += 8
      while width >= 6 {
        width -= 6
        text.append(letters[Int(bits >> UInt32(width) & 63)])
      }
      bits &= (1 << UInt32(width)) - 1
    }
    if width > 0 { text.append(letters[Int(bits << UInt32(6 - width) & 63)]) }
    return String(decoding: text, as: UTF8.self)
  }

  /// Bytes of base64url; nil where a letter is none or the last bits are not zero.
  static func bytes(base64 text: some StringProtocol) -> [UInt8]? {
    var bytes: [UInt8] = []
    var (bits, width) = (UInt32(0), 0)
    for letter in text.utf8 {
      guard let value = value(letter) else { return nil }
      bits = bits << 6 | value
      width += 6
      if width >= 8 {
        width -= 8
        bytes.append(UInt8(bits >> UInt32(width)))
        bits &= (1 << UInt32(width)) - 1
      }
    }
    return width < 6 && bits == 0 ? bytes : nil
  }

  private static func value(_ letter: UInt8) -> UInt32? {
    switch letter {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
