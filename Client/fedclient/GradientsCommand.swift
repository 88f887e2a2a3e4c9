// Apache-2.0.
import CommandLineTool
import Execution
import FineTuning
import GraphCompiler
import ModelFiles
import Tensors

/// Loss and gradients of a batch, for comparison with other frameworks.
let gradientsCommand = Command(
  "gradients",
  "Write the loss of a batch and the gradient of every parameter.",
  options: [
    ModelOptions.model,
    .value("batch", "FILE.json", "{\"input_ids\": …, \"attention_mask\": …, \"labels\": …}."),
    .value("out", "OUT.safetensors", "Where loss and grad.NAME are written."),
    .value("scheme", "SCHEME", "Which parameters (full)."),
    ModelOptions.frozen,
    ModelOptions.threads,
  ],
  notes: """
    labels are, for a language model, rows of ids as they stand in input_ids (shifted here) and -100
    where nothing counts; for a classifier one class a row. The loss is the mean of what counts.
    """
) { arguments, console in
  let out = try arguments.required("out")
  let path = try arguments.required("batch")
  let model = try LoadedModel(
    ModelRequest(
      directory: try arguments.required("model"),
      scheme: try UpdateScheme(arguments.value("scheme") ?? "full"),
      frozen: try arguments.frozen()
    )
  )
  let examples = try arguments.labelledRows(at: path, for: model)
  let team = ThreadTeam(threads: try arguments.threads())
  let workspace = try TrainerWorkspace(
    model,
    team: team,
    hoistsFrozenPrefix: false,
    perturbs: false
  )
  let trainer = GradientTrainer(workspace, optimizer: .sgd())
  let (loss, gradients) = try trainer.gradients(examples, rows: examples.count)
  let shapes = Dictionary(uniqueKeysWithValues: model.table.trainable.map { ($0.name, $0.shape) })
  var tensors = [TensorDescription(name: "loss", type: .f32, shape: [])]
  var values = ["loss": [loss]]
  for (name, gradient) in gradients {
    guard let shape = shapes[name] else { continue }
    // Of a matrix that trains in part there are gradients of its first input channels.
    let stored = model.asStored(name, gradient, shape)
    tensors.append(TensorDescription(name: "grad.\(name)", type: .f32, shape: stored.extents))
    values["grad.\(name)"] = stored.values
  }
  var writer = try SafetensorsWriter(path: out, tensors: tensors)
  for tensor in writer.tensors {
    let elements = values[tensor.name] ?? []
    // SAFETY: floats have no padding; every machine this runs on is little-endian.
    try unsafe writer.append(elements.span.bytes)
  }
  try writer.finish()
  console.note("\(out): loss \(loss), gradients of \(gradients.count) tensors")
  return .ok
}
