// Apache-2.0.
import Codecs
import Coordination
import FederatedAlgorithms
import FederatedCore
import FineTuning
import ModelFiles
import Reporting

/// A task of a frontier as its file describes it.
struct FrontierFile {
  /// A method: the run file of the task with the keys it sets.
  struct Method {
    let name: String
    fileprivate let file: JSONValue
    fileprivate let folder: String

    /// The run under a seed, its rate times a factor, perhaps with fewer rounds and other changes.
    func configuration(
      seed: UInt64?,
      factor: Double = 1,
      rounds: Int? = nil,
      changing others: [RunFile.Change] = [],
      note: (String) -> Void = { _ in }
    ) throws -> RunConfiguration {
      var changes = others
      if let seed { changes.append(try RunFile.Change("seed=\(seed)")) }
      if let rounds { changes.append(try RunFile.Change("rounds=\(rounds)")) }
      let run = try RunFile.configuration(of: file, changing: changes, in: folder, note: note)
      guard factor != 1, case .number(let rate)? = run.algorithm.json["learning_rate"] else {
        return run
      }
      let change = try RunFile.Change("algorithm.learning_rate=\(rate * factor)")
      return try RunFile.configuration(of: run.json, changing: [change], in: folder)
    }
  }

  /// How every method's learning rate is chosen: all have the same number of trials.
  struct Search {
    /// What the file's rate is multiplied by.
    let factors: [Double]
    /// The seed of the trials, none of those that are reported.
    let seed: UInt64
    /// Rounds of a trial; the run's where nil.
    let rounds: Int?
  }

  let name: String
  let note: String
  let methods: [Method]
  let search: Search?
  let isAccuracy: Bool

  init(_ path: String, rounds: Int?) throws {
    let file = try Self.syntax(path)
    name = try file["name"].string()
    note = try file["note"].string(default: "")
    methods = try Self.methods(of: file, in: Self.folder(of: path), rounds: rounds)
    search =
      if file["search"].value == nil { nil } else {
        Search(
          factors: try file["search"]["factors"].items().map { factor throws(JSONError) in
            try factor.number()
          },
          seed: UInt64(try file["search"]["seed"].integer(in: 0...Int.max)),
          rounds: rounds == nil && file["search"]["rounds"].value != nil
            ? try file["search"]["rounds"].integer(in: 1...RunConfiguration.maximumRounds) : rounds
        )
      }
    isAccuracy = try methods.allSatisfy { try $0.configuration(seed: nil).labels != nil }
  }

  /// The run files in a file: those of its methods, or itself.
  static func methods(in path: String) throws -> [Method] {
    let (file, folder) = (try syntax(path), folder(of: path))
    guard file["methods"].value == nil else {
      return try methods(of: file, in: folder, rounds: nil)
    }
    return [
      Method(
        name: try file["name"].string(default: path),
        file: file.value ?? .null,
        folder: folder
      )
    ]
  }

  private static func methods(
    of file: JSONField,
    in folder: String,
    rounds: Int?
  ) throws -> [Method] {
    let shared = try file["run"].members().map { JSONValue.Member($0.key, $0.field.value ?? .null) }
    return try file["methods"].items().map { method in
      var members = shared
      for (key, field) in try method.members() {
        // A scheme says what trains in place of the patterns.
        members.removeAll { $0.key == key || key == "scheme" && $0.key == "trainable" }
        members.append(JSONValue.Member(key, field.value ?? .null))
      }
      if let rounds {
        members.removeAll { $0.key == "rounds" }
        members.append(JSONValue.Member("rounds", .integer(Int64(rounds))))
      }
      return Method(name: try method["name"].string(), file: .object(members), folder: folder)
    }
  }

  private static func folder(of path: String) -> String {
    "/" + RunFile.absolute(path).split(separator: "/").dropLast().joined(separator: "/")
  }

  private static func syntax(_ path: String) throws -> JSONField {
    let bytes = try ModelFolder.bytes(path, limit: RunConfiguration.maximumBytes)
    return JSONField(try RunConfiguration.syntax(json5: bytes), path: "")
  }

  func figure(_ task: Frontier.Task) -> FrontierFigure {
    FrontierFigure(
      task: name,
      metric: isAccuracy ? "held-out accuracy" : "held-out loss",
      note: note,
      methods: task.methods.map(\.figure)
    )
  }
}

extension Frontier.Method {
  fileprivate var figure: FrontierFigure.Method {
    FrontierFigure.Method(
      name: name,
      group: !needsGradients ? 0 : !growsWithModel ? 1 : isAdapter ? 2 : 3,
      up: up,
      down: down,
      rounds: rounds,
      steps: steps,
      curve: curve.map { ($0.round, $0.value) },
      ends: ends
    )
  }
}
