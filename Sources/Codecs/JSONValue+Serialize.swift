// Apache-2.0.

extension JSONValue {
  /// The document as RFC 8259 text: compact, or indented by two spaces.
  ///
  /// Numbers are written in the shortest form that reads back to the same value; numbers that JSON has
  /// no form for are written as null.
  public func serialized(pretty: Bool = false) -> String {
    var text = ""
    write(into: &text, pretty: pretty, indent: 0)
    return text
  }

  private func write(into text: inout String, pretty: Bool, indent: Int) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += "\(value)"
    case .number(let value): text += value.isFinite ? "\(value)" : "null"
    case .string(let value): Self.write(string: value, into: &text)
    case .array(let items):
      Self.write(items, brackets: ("[", "]"), into: &text, pretty: pretty, indent: indent) {
        $0.write(into: &$1, pretty: pretty, indent: indent + 1)
      }
    case .object(let members):
      Self.write(members, brackets: ("{", "}"), into: &text, pretty: pretty, indent: indent) {
        Self.write(string: $0.key, into: &$1)
        $1 += pretty ? ": " : ":"
        $0.value.write(into: &$1, pretty: pretty, indent: indent + 1)
      }
    }
  }

  private static func write<Item>(
    _ items: [Item],
    brackets: (String, String),
    into text: inout String,
    pretty: Bool,
    indent: Int,
    _ body: (Item, inout String) -> Void
  ) {
    text += brackets.0
    for (index, item) in items.enumerated() {
      if index > 0 { text += "," }
      if pretty { text += "\n" + String(repeating: "  ", count: indent + 1) }
      body(item, &text)
    }
    if pretty, !items.isEmpty { text += "\n" + String(repeating: "  ", count: indent) }
    text += brackets.1
  }

  private static func write(string: String, into text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case let control where control.value < 0x20:
        let digits = String(control.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
