// Apache-2.0.
import Codecs
import CommandLineTool
import ModelFiles
import SimulatedFederation

let scheduleCommand = Command(
  "schedule",
  "Print what FedCompass does in a scenario, event by event.",
  operands: [Operand("SCENARIO.json", "Clients with their step times, and when to stop.")],
  options: [.value("preset", "NAME", "fixed, paper or appfl, in place of the scenario's.")],
  notes: """
    A scenario has preset, config {q_min, q_max, lambda, speed_momentum, alpha, a, num_clients},
    max_aggregations or max_time, and clients {id, step_time: [...], overhead, joins, returns}. The
    trace is one JSON object, an event a line; docs/guides/scheduling.md explains the events.
    """
) { arguments, console in
  let path = arguments.operands[0]
  let scenario: ScheduleScenario
  do {
    let bytes = try ModelFolder.bytes(path, limit: 64 << 20)
    let json = try JSONValue.parse(
      bytes,
      dialect: .json5,
      limits: JSONLimits(bytes: 64 << 20, depth: 16)
    )
    scenario = try ScheduleScenario(json, preset: arguments.value("preset"))
  } catch {
    throw CommandFailure("\(path): \(error)", code: .usage)
  }
  console.write(ScheduleTrace.run(scenario).text)
  return .ok
}
