// Apache-2.0.
import Codecs
import Coordination
import FederatedCore

/// A line of the event log: what happened, at which virtual time.
///
///     {"t":12.5,"event":"task","client":3,"version":2,"steps":10}
///     {"t":13.25,"event":"result","client":3,"version":2,"loss":0.531}
///     {"t":13.25,"event":"version","version":3,"clients":[3,7],"ages":[0,1],"digest":"…",
///      "loss":0.52,"accuracy":0.81}
///     {"t":14,"event":"away","client":3}, and "back"
///
/// The log of a run depends on its file alone: not on workers, nor on being killed and resumed.
enum EventLine {
  case task(client: Int, LocalTask)
  case result(client: Int, version: UInt32, loss: Float?)
  case version(RoundReport, clients: [Int])
  case away(client: Int)
  case back(client: Int)

  /// The line, without its end.
  func text(at time: Duration) -> String {
    let (seconds, attoseconds) = time.components
    let nanoseconds = String(attoseconds / 1_000_000_000)
    let zeros = String(repeating: "0", count: 9 - nanoseconds.count)
    var fraction = zeros + nanoseconds
    while fraction.last == "0" { fraction.removeLast() }
    let moment = fraction.isEmpty ? "\(seconds)" : "\(seconds).\(fraction)"
    return "{\"t\":\(moment),\"event\":\(content)}"
  }

  private var content: String {
    switch self {
    case .task(let client, let task):
      "\"task\",\"client\":\(client),\"version\":\(task.round),\"steps\":\(task.steps)"
    case .result(let client, let version, let loss):
      "\"result\",\"client\":\(client),\"version\":\(version),\"loss\":\(Self.number(loss))"
    case .version(let report, let clients):
      "\"version\",\"version\":\(report.round),\"clients\":\(Self.list(clients)),"
        + "\"ages\":\(Self.list(report.ages)),\"digest\":\"\(report.digest)\","
        + "\"loss\":\(Self.number(report.after?.loss)),"
        + "\"accuracy\":\(Self.number(report.after?.accuracy))"
    case .away(let client): "\"away\",\"client\":\(client)"
    case .back(let client): "\"back\",\"client\":\(client)"
    }
  }

  private static func number(_ value: (some BinaryFloatingPoint & CustomStringConvertible)?)
    -> String
  {
    guard let value, value.isFinite else { return "null" }
    return value.description
  }

  private static func list(_ numbers: [some CustomStringConvertible]) -> String {
    "[" + numbers.map(\.description).joined(separator: ",") + "]"
  }
}
