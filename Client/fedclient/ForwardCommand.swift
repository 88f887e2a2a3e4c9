// Apache-2.0.
import Codecs
import CommandLineTool
import FineTuning
import Glibc
import ModelFiles
import Models
import Tensors

/// Logits of a batch, for comparison with other frameworks.
let forwardCommand = Command(
  "forward",
  "Run a model on a batch of token ids or values and write its logits.",
  options: [
    ModelOptions.model,
    ModelOptions.adapter,
    .value(
      "batch",
      "FILE.json",
      "{\"input_ids\": [[…], …], \"attention_mask\": [[…], …]} or {\"values\": [[…], …]}."
    ),
    .value("out", "OUT.safetensors", "Where the tensor logits is written."),
    ModelOptions.frozen,
    ModelOptions.threads,
  ],
  notes: """
    Rows are padded on the right; without a mask nothing is padding. A model without a head gives
    its hidden states as logits, and last_hidden_state and pooler_output beside them.
    """
) { arguments, console in
  let path = try arguments.required("batch")
  let out = try arguments.required("out")
  let team = ThreadTeam(threads: try arguments.threads())
  let json = try ModelFolder.json(path, limit: 1 << 30)
  let model = try arguments.storedModel()
  for name in model.newTensors { console.note("new tensor \(name): the checkpoint lacks it") }
  for name in model.unusedTensors { console.note("unused tensor \(name)") }
  let rows = try modelRows(json, path, valueCount: model.family.valueCount)
  let clock = ContinuousClock()
  let start = clock.now
  let outputs =
    switch rows {
    case .tokens(let rows): try model.forward(rows.ids, lengths: rows.lengths, team: team)
    case .values(let rows): try model.forward(values: rows.rows, team: team)
    }
  let seconds = (clock.now - start) / .seconds(1)
  var named: [(name: String, output: ForwardOutput)] = []
  for output in outputs {
    switch output.name {
    case "hidden": named += [("logits", output), ("last_hidden_state", output)]
    case "pooled": named.append(("pooler_output", output))
    default: named.append((output.name, output))
    }
  }
  try write(named, to: out)
  let shapes = named.map { "\($0.name) \($0.output.shape)" }.joined(separator: ", ")
  console.note("\(out): \(shapes) in \(Int(seconds * 1000)) ms on \(team.threadCount) threads")
  return .ok
}

/// What a forward pass reads.
private enum ModelRows {
  case tokens(TokenRows)
  case values(ValueRows)
}

private func modelRows(
  _ json: JSONValue,
  _ path: String,
  valueCount: Int
) throws(CommandFailure) -> ModelRows {
  do throws(JSONError) {
    return valueCount > 0
      ? .values(try ValueRows(json, count: valueCount)) : .tokens(try TokenRows(json))
  } catch { throw CommandFailure("\(path): \(error)", code: .usage) }
}

private func write(
  _ tensors: [(name: String, output: ForwardOutput)],
  to path: String
) throws(ModelFileError) {
  var writer = try SafetensorsWriter(
    path: path,
    tensors: tensors.map { TensorDescription(name: $0.name, type: .f32, shape: $0.output.shape) }
  )
  for tensor in writer.tensors {
    guard let found = tensors.first(where: { $0.name == tensor.name }) else { continue }
    // SAFETY: floats have no padding; every machine this runs on is little-endian.
    try unsafe writer.append(found.output.values.span.bytes)
  }
  try writer.finish()
}

extension Arguments {
  /// Value of `--threads`, all processors by default.
  func threads() throws(CommandFailure) -> Int {
    try integer("threads", in: 1...1024) ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
  }
}
