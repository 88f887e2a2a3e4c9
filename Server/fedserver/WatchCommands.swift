// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import FederatedAlgorithms
import FederatedCore
import FineTuning
import Telemetry

let submitCommand = Command(
  "submit",
  "Hand a run to the server.",
  operands: [Operand("RUN.json5", "The run file.")],
  options: [
    ServerFolder.option,
    .flag("wait", "Watch the run to its end; leaves with 1 where it does not complete."),
    .value("timeout", "SECONDS", "With --wait: leave with 3 when so much time has passed."),
  ],
  notes: "Relative paths in the file are those of the folder it lies in."
) { arguments, console in
  let configuration: RunConfiguration
  do {
    configuration = try RunFile.read(arguments.operands[0]) { console.note($0) }
    // The server would refuse these as well; here it is the file that is wrong.
    _ = try AlgorithmCatalog.start(
      algorithm: configuration.algorithm.json,
      key: configuration.runKey
    )
    _ = try SchedulerCatalog.start(configuration.schedule, steps: 1, key: 0)
  } catch {
    throw CommandFailure("\(arguments.operands[0]): \(error)", code: .usage)
  }
  let limit = try arguments.timeLimit()
  let client = try AdminClient.open(ServerFolder(arguments))
  client.giveUp(after: limit)
  let answer = try client.ask("submit", [.init("configuration", configuration.json)])
  guard case .integer(let run)? = answer["run"] else { return .bug }
  switch console.format {
  case .json: console.write(answer.serialized())
  case .text: console.write("run \(run) (\(configuration.name)) submitted")
  }
  guard arguments.isSet("wait") else { return .ok }
  client.send("watch", [.init("run", .integer(run))])
  return try follow(client, console)
}

let watchCommand = Command(
  "watch",
  "Show the rounds of a run as they are done, until it ends.",
  operands: [Operand("RUN", "Number of the run; all runs where none is given.", isRequired: false)],
  options: [
    ServerFolder.option,
    .value("timeout", "SECONDS", "Leave with 3 when so much time has passed."),
  ]
) { arguments, console in
  let limit = try arguments.timeLimit()
  let client = try AdminClient.open(ServerFolder(arguments))
  client.giveUp(after: limit)
  let run = try arguments.run(at: 0).map { [JSONValue.Member("run", .integer($0))] } ?? []
  client.send("watch", run)
  return try follow(client, console)
}

let statusCommand = Command(
  "status",
  "Say what the server does and what it waits for.",
  options: [ServerFolder.option]
) { arguments, console in
  let client = try AdminClient.open(ServerFolder(arguments))
  let answer = try client.ask("status")
  guard console.format == .text else {
    console.write(answer.serialized())
    return .ok
  }
  let status = JSONField(answer, path: "status")
  let clients = try status["clients"].items().map { try $0.string() }
  console.write((["clients connected: \(clients.count)"] + clients).joined(separator: " "))
  for run in try status["runs"].items() {
    for line in try runLines(run) { console.write(line) }
  }
  return .ok
}

let stopCommand = Command(
  "stop",
  "End a run where it stands.",
  operands: [Operand("RUN", "Number of the run.")],
  options: [ServerFolder.option]
) { arguments, console in
  guard let run = try arguments.run(at: 0) else { return .usage }
  let client = try AdminClient.open(ServerFolder(arguments))
  let answer = try client.ask("stop", [.init("run", .integer(run))])
  console.write(console.format == .json ? answer.serialized() : "run \(run) stopped")
  return .ok
}

let exportCommand = Command(
  "export",
  "Write the model a run has come to as a folder that transformers loads, or a page about the run.",
  operands: [Operand("DIR", "The folder to write; none with --report.", isRequired: false)],
  options: [
    ServerFolder.option,
    .value("run", "RUN", "Number of the run (the latest)."),
    .value("report", "FILE.html", "Write a page about the run instead; .csv and .json beside it."),
  ]
) { arguments, console in
  if let file = arguments.value("report") { return try writeReport(file, arguments, console) }
  guard !arguments.operands.isEmpty else { throw CommandFailure.usage("export needs a folder") }
  var request = [
    JSONValue.Member(
      "directory",
      .string(RunFile.absolute(arguments.operands[0]))
    )
  ]
  if let run = try arguments.integer("run", in: 1...Int(UInt32.max)) {
    request.append(.init("run", .integer(Int64(run))))
  }
  let client = try AdminClient.open(ServerFolder(arguments))
  let answer = try client.ask("export", request)
  switch console.format {
  case .json: console.write(answer.serialized())
  case .text:
    let field = JSONField(answer, path: "answer")
    console.write(
      "version \(try field["round"].integer()) of run \(try field["run"].integer()) "
        + "written to \(try field["directory"].string())"
    )
  }
  return .ok
}

/// Shows lines of a watch until its run ends, or for ever.
private func follow(
  _ client: AdminClient,
  _ console: Console
) throws -> ExitCode {
  while true {
    let line = try client.receive()
    if console.format == .json { console.write(line.serialized()) }
    if let round = line["round"], console.format == .text { console.write(try roundLine(round)) }
    let status = line["status"] ?? line["end"]
    if let status, console.format == .text {
      for text in try runLines(JSONField(status, path: "run")) { console.note(text) }
    }
    guard let end = line["end"], line["done"] == .bool(true) else { continue }
    return end["state"] == .string("completed") ? .ok : .failed
  }
}

private func roundLine(_ json: JSONValue) throws -> String {
  let field = JSONField(json, path: "round")
  func optional(_ key: String) throws -> Double? {
    field[key].isPresent ? try field[key].number() : nil
  }
  var line = "[ROUND \(try field["round"].integer())/\(try field["rounds"].integer())] "
  line += "sampled \(try field["sampled"].integer()) of \(try field["clients"].integer()), "
  line += "results \(try field["results"].integer()), failures \(try field["failures"].integer()), "
  if let loss = try optional("loss") {
    let before = try optional("loss_before").map { "\(decimal($0, 4)) -> " } ?? ""
    line += "loss \(before)\(decimal(loss, 4))"
    if let accuracy = try optional("accuracy") { line += ", accuracy \(decimal(accuracy, 4))" }
  } else {
    line += "training loss \(decimal(try optional("training_loss") ?? .nan, 4))"
  }
  if let up = try optional("up_bytes"), let down = try optional("down_bytes") {
    line += ", up \(decimal(up, 0)) B, down \(decimal(down, 0)) B a client"
  }
  return line + ", \(decimal(try optional("seconds") ?? 0, 1)) s"
}

private func runLines(_ run: JSONField) throws -> [String] {
  var line = "run \(try run["run"].integer()) (\(try run["name"].string())): "
  line += "\(try run["state"].string()), round \(try run["round"].integer()) "
  line += "of \(try run["rounds"].integer())"
  if run["loss"].isPresent { line += ", loss \(decimal(try run["loss"].number(), 4))" }
  let detail = try run["detail"].string()
  if !detail.isEmpty { line += "; \(detail)" }
  var lines = [line]
  for problem in try run["problems"].members() {
    lines.append("  client \(problem.key): \(try problem.field.string())")
  }
  return lines
}

extension Arguments {
  /// The run that an operand names, nil where it is absent.
  func run(at index: Int) throws(CommandFailure) -> Int64? {
    guard index < operands.count else { return nil }
    guard let run = UInt32(operands[index]), run > 0 else {
      throw .usage("\(operands[index]): expected the number of a run")
    }
    return Int64(run)
  }

  /// What `--timeout` allows.
  func timeLimit() throws(CommandFailure) -> Duration? {
    guard let seconds = try number("timeout") else { return nil }
    guard seconds > 0, seconds < 1e9 else { throw .usage("--timeout: expected seconds") }
    return .milliseconds(Int(seconds * 1000))
  }
}
