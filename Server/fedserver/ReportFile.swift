// Apache-2.0.
import Codecs
import CommandLineTool
import Coordination
import ModelFiles
import Reporting
import RunLedger

/// Writes the page about a run that `fedserver export --report` asks for, from the ledger alone: it needs
/// no running server and no model.
func writeReport(
  _ file: String,
  _ arguments: Arguments,
  _ console: Console
) throws -> ExitCode {
  let folder = try ServerFolder(arguments)
  _ = try folder.read()
  let ledger = try Ledger(path: folder.ledger)
  let runs = try ledger.runs()
  let asked = try arguments.integer("run", in: 1...Int(UInt32.max)).map { UInt32($0) }
  guard let run = asked ?? runs.last, runs.contains(run) else {
    throw CommandFailure(asked.map { "there is no run \($0)" } ?? "there is no run", code: .usage)
  }
  let record = try LedgerReport.record(of: run, in: ledger)
  let page = ReportPage(
    title: "Run \(run): \(record.name)",
    [record],
    command: "fedserver export --report \(file) --run \(run)"
  )
  let stem = file.hasSuffix(".html") ? String(file.dropLast(5)) : file
  try ModelFolder.write(Array(page.html.utf8), to: file)
  try ModelFolder.write(Array(page.csv.utf8), to: stem + ".csv")
  let json = json(record).serialized(pretty: true) + "\n"
  try ModelFolder.write(Array(json.utf8), to: stem + ".json")
  switch console.format {
  case .text: console.write("\(file) written, \(stem).csv and \(stem).json beside it")
  case .json:
    console.write(
      JSONValue.object([
        .init("run", .integer(Int64(run))), .init("report", .string(file)),
      ]).serialized()
    )
  }
  return .ok
}

/// The record as JSON: facts, versions and tasks.
private func json(_ record: RunRecord) -> JSONValue {
  func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
  let versions = record.versions.map { version in
    JSONValue.object([
      .init("version", .integer(Int64(version.number))),
      .init("seconds", .number(version.time)),
      .init("bytes", .number(version.bytes)),
      .init("ages", .array(version.ages.map { .integer(Int64($0)) })),
      .init("loss", number(version.loss)),
      .init("accuracy", number(version.accuracy)),
    ])
  }
  let tasks = record.tasks.map { task in
    JSONValue.object([
      .init("client", .integer(Int64(task.client))),
      .init("start", .number(task.start)),
      .init("end", .number(task.end)),
      .init("version", .integer(Int64(task.base))),
    ])
  }
  return .object([
    .init("name", .string(record.name)),
    .init("facts", .object(record.facts.map { .init($0.0, .string($0.1)) })),
    .init("clients", .integer(Int64(record.clients))),
    .init("seconds", .number(record.duration)),
    .init("versions", .array(versions)),
    .init("tasks", .array(tasks)),
  ])
}
