// Apache-2.0.
import Codecs

/// The parsed command line of one command.
public struct Arguments: Sendable {
  private var values: [String: [String]] = [:]
  private var flags: Set<String> = []
  /// Operands in order.
  public private(set) var operands: [String] = []

  /// Parses what follows the command's name.
  ///
  /// `--name VALUE` and `--name=VALUE` are the same; after `--` everything is an operand.
  ///
  /// - Throws: `CommandFailure` with `ExitCode.usage`, naming the nearest known option.
  public init(_ words: some Sequence<String>, for command: Command) throws(CommandFailure) {
    let known = command.options + Option.common
    var iterator = words.makeIterator()
    var onlyOperands = false
    while let word = iterator.next() {
      guard word.hasPrefix("-"), word != "-", !onlyOperands else {
        operands.append(word)
        continue
      }
      if word == "--" {
        onlyOperands = true
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = word == "-h" ? "help" : String(parts[0].drop { $0 == "-" })
      guard let option = known.first(where: { $0.name == name }) else {
        throw .usage(
          "unknown option \(parts[0])"
            + suggestion(for: name, among: known.map(\.name), prefix: "--")
        )
      }
      guard let placeholder = option.placeholder else {
        guard parts.count == 1 else { throw .usage("--\(name) takes no value") }
        flags.insert(name)
        continue
      }
      guard let value = parts.count == 2 ? String(parts[1]) : iterator.next() else {
        throw .usage("--\(name) needs a value: --\(name) \(placeholder)")
      }
      values[name, default: []].append(value)
    }
    guard !isSet("help") else { return }
    try checkOperands(of: command)
  }

  private func checkOperands(of command: Command) throws(CommandFailure) {
    let required = command.operands.filter(\.isRequired)
    if operands.count < required.count {
      throw .usage("missing \(required[operands.count].placeholder)")
    }
    if operands.count > command.operands.count, command.operands.last?.isRepeated != true {
      throw .usage("unexpected operand \"\(operands[command.operands.count])\"")
    }
  }

  /// Whether a flag was given.
  public func isSet(_ flag: String) -> Bool { flags.contains(flag) }

  /// Value of an option, the last one given.
  public func value(_ name: String) -> String? { values[name]?.last }

  /// All values of an option that may be repeated.
  public func allValues(_ name: String) -> [String] { values[name] ?? [] }

  /// Value of an option that must be there.
  ///
  /// - Throws: `CommandFailure` with `ExitCode.usage`.
  public func required(_ name: String) throws(CommandFailure) -> String {
    guard let value = value(name) else { throw .usage("--\(name) is required") }
    return value
  }

  /// Integer value of an option, nil where it was not given.
  ///
  /// - Throws: `CommandFailure` with `ExitCode.usage` outside `range`.
  public func integer(
    _ name: String,
    in range: ClosedRange<Int> = 0...Int.max
  ) throws(CommandFailure) -> Int? {
    guard let text = value(name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      let bound = range.upperBound == Int.max ? "" : " and at most \(range.upperBound)"
      throw .usage(
        "--\(name) \(text): expected a whole number of at least \(range.lowerBound)\(bound)"
      )
    }
    return number
  }

  /// Decimal value of an option, nil where it was not given.
  ///
  /// - Throws: `CommandFailure` with `ExitCode.usage`.
  public func number(_ name: String) throws(CommandFailure) -> Double? {
    guard let text = value(name) else { return nil }
    guard let number = Double(text), number.isFinite else {
      throw .usage("--\(name) \(text): expected a number")
    }
    return number
  }
}
