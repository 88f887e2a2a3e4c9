// Apache-2.0.
import Codecs
import CommandLineTool
import FineTuning
import Glibc
import Tensors

let doctorCommand = Command(
  "doctor",
  "Check what taking part needs: identity, clock, server, processor, and if named model and data.",
  options: [ClientFolder.option, ModelOptions.model] + ModelOptions.data + [ModelOptions.threads],
  notes: """
    With --model the weights are read and named by their digest; with --data as well, a local step is
    tried with every tensor trainable, which needs the most memory. Leaves with 2 where only the
    server cannot be reached, with 1 where anything else is wrong.
    """
) { arguments, console in
  let folder = try ClientFolder(arguments)
  var checks = [Check.processor()]
  let identity = Check.identity(folder)
  checks += identity.checks
  if let identity = identity.identity {
    checks += [Check.server(identity, folder), Check.disk(folder)]
  }
  if let directory = arguments.value("model") {
    let (check, model) = Check.model(directory)
    checks.append(check)
    if let model, let path = arguments.value("data") {
      checks += Check.data(path, model, arguments)
    }
  } else if arguments.value("data") != nil {
    throw CommandFailure.usage("--data is read for a model: name it with --model")
  }
  switch console.format {
  case .json: console.write(JSONValue.array(checks.map(\.json)).serialized())
  case .text: for check in checks { console.write(check.line(isColoured: console.usesColour)) }
  }
  let failed = checks.filter { $0.state == .failed }
  if failed.isEmpty { return .ok }
  return failed.allSatisfy { $0.name == "server" } ? .connection : .failed
}

/// One thing looked at, and what was found.
struct Check {
  /// How it stands.
  enum State: String {
    case ok
    case warning
    case failed
  }

  let name: String
  let state: State
  let text: String

  init(_ name: String, _ state: State, _ text: String) {
    self.name = name
    self.state = state
    self.text = text
  }

  var json: JSONValue {
    .object([
      .init("check", .string(name)), .init("state", .string(state.rawValue)),
      .init("text", .string(text)),
    ])
  }

  func line(isColoured: Bool) -> String {
    let mark = "\(state.rawValue)" + String(repeating: " ", count: 8 - state.rawValue.count)
    let colour =
      switch state {
      case .ok: "32"
      case .warning: "33"
      case .failed: "31"
      }
    let shown = isColoured ? "\u{1B}[\(colour)m\(mark)\u{1B}[0m" : mark
    return shown + name + String(repeating: " ", count: max(1, 13 - name.count)) + text
  }

  /// A check whose body says what is right, or throws what is not.
  static func attempt(_ name: String, _ body: () throws -> String) -> Check {
    do { return Check(name, .ok, try body()) } catch { return Check(name, .failed, "\(error)") }
  }
}
