// Apache-2.0.

/// An option of a command: `--name VALUE`, or `--name` alone for a flag.
public struct Option: Sendable {
  /// Name without the dashes.
  public let name: String
  /// What the value is, in capitals (`DIR`); nil for a flag.
  public let placeholder: String?
  /// One line of help.
  public let summary: String

  /// An option that takes a value.
  public static func value(_ name: String, _ placeholder: String, _ summary: String) -> Option {
    Option(name: name, placeholder: placeholder, summary: summary)
  }

  /// An option that is there or not.
  public static func flag(_ name: String, _ summary: String) -> Option {
    Option(name: name, placeholder: nil, summary: summary)
  }

  /// Known to every command.
  static let common = [
    Option.value("format", "text|json", "How results are written to standard output."),
    Option.flag("help", "Print this help."),
  ]
}

/// An operand of a command, by position.
public struct Operand: Sendable {
  /// What it is, in capitals (`RUN.json5`).
  public let placeholder: String
  /// One line of help.
  public let summary: String
  /// Whether the command refuses to run without it.
  public let isRequired: Bool
  /// Whether any number more may follow; for the last operand only.
  public let isRepeated: Bool

  /// An operand.
  public init(
    _ placeholder: String,
    _ summary: String,
    isRequired: Bool = true,
    isRepeated: Bool = false
  ) {
    self.placeholder = placeholder
    self.summary = summary
    self.isRequired = isRequired
    self.isRepeated = isRepeated
  }
}

/// One subcommand of a program, as a value: a program is a plain array of them.
public struct Command: Sendable {
  /// The work of a command.
  public typealias Body = @Sendable (Arguments, Console) throws -> ExitCode

  /// Name on the command line.
  public let name: String
  /// One line of help.
  public let summary: String
  /// Operands in order.
  public let operands: [Operand]
  /// Options beside `--format` and `--help`.
  public let options: [Option]
  /// Paragraphs after the option list of `--help`.
  public let notes: String
  /// What it does.
  public let body: Body

  /// A command.
  public init(
    _ name: String,
    _ summary: String,
    operands: [Operand] = [],
    options: [Option] = [],
    notes: String = "",
    body: @escaping Body
  ) {
    self.name = name
    self.summary = summary
    self.operands = operands
    self.options = options
    self.notes = notes
    self.body = body
  }

  /// The text of `program name --help`.
  func help(program: String) -> String {
    var line = "usage: \(program) \(name)"
    for operand in operands {
      line += operand.isRequired ? " \(operand.placeholder)" : " [\(operand.placeholder)]"
      if operand.isRepeated { line += " …" }
    }
    line += options.isEmpty ? "" : " [options]"
    var rows = operands.map { ($0.placeholder, $0.summary) }
    for option in options + Option.common {
      let value = option.placeholder.map { " \($0)" } ?? ""
      rows.append(("--\(option.name)\(value)", option.summary))
    }
    var text = "\(line)\n\n\(summary)\n\n" + columns(rows)
    if !notes.isEmpty { text += "\n\(notes)\n" }
    return text
  }
}

/// Two columns, the first padded to its widest cell.
func columns(_ rows: [(String, String)]) -> String {
  let width = rows.map(\.0.count).max() ?? 0
  return rows.map { left, right in
    "  \(left)\(String(repeating: " ", count: width - left.count))  \(right)\n"
  }.joined()
}
