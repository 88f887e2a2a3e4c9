// Apache-2.0.
import Codecs

/// What one row of a data file says, before it becomes tokens.
enum RowContent: Equatable {
  /// An instruction with what may go with it, and its answer.
  case instruction(String, input: String, output: String)
  /// A conversation.
  case conversation([Turn])
  /// A text, and its label where the row has one.
  case text(String, label: RowLabel?)
}

/// One turn of a conversation.
struct Turn: Equatable {
  /// Who speaks.
  enum Role: Equatable {
    case system
    case user
    case assistant
  }

  let role: Role
  let content: String
}

/// A label as written: its text, or an index into the labels.
enum RowLabel: Equatable {
  case name(String)
  case index(Int)
}

/// How rows of JSON lines and of CSV are understood.
public enum RowFormat: String, Sendable, CaseIterable {
  /// Each row by the keys it has.
  case auto
  /// `instruction`, `input` (may be missing), `output`.
  case alpaca
  /// `conversations: [{from, value}]`.
  case sharegpt
  /// `messages: [{role, content}]`.
  case messages
  /// `text`, and `label` where there is one.
  case text
}

extension RowContent {
  /// Reads a row.
  ///
  /// - Throws: `RowFault` where it lacks what its format needs.
  init(_ row: JSONValue, format: RowFormat) throws(RowFault) {
    guard case .object = row else { throw RowFault(reason: "not a JSON object") }
    let field = JSONField(row, path: "")
    do throws(JSONError) {
      switch try Self.recognised(field, format) {
      case .alpaca:
        self = .instruction(
          try field["instruction"].string(),
          input: try field["input"].string(default: ""),
          output: try field["output"].string()
        )
      case .sharegpt:
        self = .conversation(try Self.turns(field["conversations"], role: "from", text: "value"))
      case .messages:
        self = .conversation(try Self.turns(field["messages"], role: "role", text: "content"))
      case .text, .auto:
        self = .text(try field["text"].string(), label: try Self.label(field["label"]))
      }
    } catch {
      throw RowFault(reason: "\(error)")
    }
  }

  /// The format of a row by its keys where it is not given.
  private static func recognised(
    _ field: JSONField,
    _ format: RowFormat
  ) throws(JSONError) -> RowFormat {
    guard format == .auto else { return format }
    if field["conversations"].isPresent { return .sharegpt }
    if field["messages"].isPresent { return .messages }
    if field["instruction"].isPresent { return .alpaca }
    if field["text"].isPresent { return .text }
    throw field.unexpected("text, instruction, messages or conversations")
  }

  private static func turns(
    _ field: JSONField,
    role: String,
    text: String
  ) throws(JSONError) -> [Turn] {
    var turns: [Turn] = []
    for item in try field.items() {
      turns.append(Turn(role: try Self.role(item[role]), content: try item[text].string()))
    }
    return turns
  }

  private static func role(_ field: JSONField) throws(JSONError) -> Turn.Role {
    switch try field.string() {
    case "system": return .system
    case "user", "human", "observation", "tool", "function": return .user
    case "assistant", "gpt", "chatgpt", "model", "function_call": return .assistant
    default: throw field.unexpected("system, user or assistant (sharegpt: human, gpt)")
    }
  }

  private static func label(_ field: JSONField) throws(JSONError) -> RowLabel? {
    switch field.value {
    case nil, .null: return nil
    case .string(let text): return .name(text)
    case .bool(let flag): return .name(flag ? "true" : "false")
    default: return .index(try field.integer())
    }
  }
}

extension JSONValue {
  /// A field as the text that groups examples.
  func groupText(_ key: String) -> String? {
    switch self[key] {
    case .string(let text): text
    case .integer(let number): "\(number)"
    case .bool(let flag): flag ? "true" : "false"
    default: nil
    }
  }
}
