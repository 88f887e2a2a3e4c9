// Apache-2.0.
import Codecs
import CommandLineTool
import FineTuning
import GraphCompiler
import Models
import Telemetry

let planCommand = Command(
  "plan",
  "Print what a training step costs, in bytes and operations, before anything runs.",
  options: [
    ModelOptions.model,
    .value("scheme", "SCHEME", "Which parts learn (full); see train."),
    .value("batch", "B", "Rows of a batch (8)."),
    .value("length", "T", "Positions of a row (128)."),
    .value("budget", "SIZE", "Refuse above so much memory: 200MiB, 1GiB, bytes."),
    ModelOptions.packFrozen,
    .value("classes", "N", "Classes of a new classification head."),
    ModelOptions.frozen,
    ModelOptions.threads,
  ] + OptimizerOptions.all.filter { ["optimizer", "clip-norm", "momentum"].contains($0.name) },
  notes: """
    bound is how many times less work than a full step there is: no step can be faster by more.
    From the second visit of an example on, what lies before the first tensor that trains is not
    computed again. Weight files are mapped, not copied, and stand beside the total; under --frozen
    int8 or bf16 frozen matrices have memory of their own, which static counts. int8 is what the
    scheme would keep of a convolutional network in integers, by the model of arXiv 2206.15472.
    """
) { arguments, console in
  let model = try arguments.model(scheme: arguments.value("scheme") ?? "full")
  let budget = try arguments.budget()
  if let note = model.tiedHeadNote { console.note(note) }
  let rows = try arguments.integer("batch", in: 1...4096) ?? 8
  let positions =
    try arguments.integer("length", in: 1...model.family.maximumPositions)
    ?? min(128, model.family.maximumPositions)
  let report = try model.trainingReport(
    rows: rows,
    positions: positions,
    optimizer: try arguments.optimizer(),
    clipping: try arguments.clipping(),
    threads: try arguments.threads(),
    passes: arguments.passes,
    budget: budget
  )
  switch console.format {
  case .text:
    console.write("\(rows) × \(positions), \(report.trainableCount) of the parameters train")
    console.write(report.plan.description)
    if report.frozenBytes > 0 {
      console.write("frozen       \(mebibytes(report.frozenBytes)), part of static")
    } else {
      console.write("mapped       \(mebibytes(report.mappedBytes))")
    }
    console.write("bound        \(decimal(report.bound, 2)) × less work than a full step")
    if let bytes = model.integerSchemeBytes {
      console.write(
        "int8         \(decimal(bytes / 1024, 1)) KiB beside the forward pass, one image"
      )
    }
    if let suffix = report.suffixPlan, let bound = report.suffixBound {
      console.write("\nfrom the second visit of an example on")
      console.write(suffix.description)
      console.write("features     \(mebibytes(report.featureBytes)) an example, kept")
      console.write("bound        \(decimal(bound, 2)) × less work than a full step")
    }
  case .json:
    let bytes = model.integerSchemeBytes
    console.write(report.json(rows: rows, positions: positions, bytes).serialized())
  }
  return .ok
}

extension TrainingReport {
  fileprivate func json(rows: Int, positions: Int, _ integerBytes: Double?) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("batch", .integer(Int64(rows))),
      .init("length", .integer(Int64(positions))),
      .init("trainable", .integer(Int64(trainableCount))),
      .init("mapped_bytes", .integer(Int64(mappedBytes))),
      .init("frozen_bytes", .integer(Int64(frozenBytes))),
      .init("bound", .number(bound)),
      .init("step", plan.json),
    ]
    if let suffixPlan, let suffixBound {
      members.append(.init("later_bound", .number(suffixBound)))
      members.append(.init("feature_bytes", .integer(Int64(featureBytes))))
      members.append(.init("later_step", suffixPlan.json))
    }
    if let integerBytes { members.append(.init("int8_scheme_bytes", .number(integerBytes))) }
    return .object(members)
  }
}

extension LoadedModel {
  /// What the scheme keeps where a convolutional network computes with integers of one byte.
  fileprivate var integerSchemeBytes: Double? {
    (family as? ConvolutionalNetwork)?.schemeMemory.bytes(updating: selection.columns)
  }
}

extension PlanReport {
  fileprivate var json: JSONValue {
    let numbers = [
      ("arena_bytes", arenaBytes), ("lower_bound_bytes", lowerBound), ("static_bytes", staticBytes),
      ("scratch_bytes", scratchBytes), ("stack_bytes", stackBytes), ("total_bytes", totalBytes),
      ("forward_flops", forwardFlops), ("backward_flops", backwardFlops),
    ]
    return .object(
      numbers.map { .init($0, .integer(Int64($1))) } + [
        .init("peak", .string(peak)),
        .init(
          "alive_at_peak",
          .array(
            aliveAtPeak.map { tensor in
              .object([
                .init("name", .string(tensor.name)),
                .init("bytes", .integer(Int64(tensor.bytes))),
              ])
            }
          )
        ),
      ]
    )
  }
}
