// Apache-2.0.
import Codecs
import CommandLineTool
import FederatedAlgorithms
import FineTuning
import GraphCompiler
import Models

let adviseCommand = Command(
  "advise",
  "Recommend a method for a budget of bytes and memory, by what was measured.",
  options: [
    .value("model", "DIR", "Folder of the base model."),
    .value("bytes", "SIZE", "Bytes a client may send a round: 200, 64KiB, 10MB."),
    .value("memory", "SIZE", "Memory of a device; without it, memory decides nothing."),
    .value("trainable", "GLOB", "Parameters that would train (*); may be repeated."),
    .value("classes", "N", "Classes of a new classification head."),
    .value("batch", "B", "Rows of a batch (8)."),
    .value("length", "T", "Positions of a row (128)."),
  ],
  notes: """
    The table is docs/frontier.json, measured on small models: it says what methods do to each other,
    not what your data will give. What travels of every weight is scaled to your model. Memory is the
    plan of a step with the mapped weights; methods without gradients need no more than inference.
    """
) { arguments, console in
  guard let directory = arguments.value("model"), let bytes = try arguments.size("bytes") else {
    throw CommandFailure.usage(
      "--model and --bytes are needed; fedserver advise --help tells the rest"
    )
  }
  let budget = Advice.Budget(bytes: bytes, memory: try arguments.size("memory"))
  let model = try arguments.costs(directory)
  guard let advice = Advice(try Frontier.measured(), budget: budget, model: model) else {
    throw CommandFailure("this build has no table of measurements", code: .failed)
  }
  switch console.format {
  case .json: console.write(advice.json.serialized())
  case .text: advice.lines(budget, model).forEach { console.write($0) }
  }
  return .ok
}

extension Arguments {
  /// A size as people write it.
  fileprivate func size(_ name: String) throws(CommandFailure) -> Int? {
    guard let text = value(name) else { return nil }
    guard let bytes = byteCount(text) else {
      throw .usage("--\(name) \(text): expected a size as 200MiB, 1.5GiB or 300000")
    }
    return bytes
  }

  /// What training the model would take.
  fileprivate func costs(_ directory: String) throws -> Advice.Model {
    let globs = allValues("trainable")
    let head = try integer("classes", in: 2...(1 << 16)).map { ModelHead.classifier(classes: $0) }
    let model = try LoadedModel(
      ModelRequest(
        directory: directory,
        head: head,
        trainable: ParameterSelection(globs.isEmpty ? ["*"] : globs)
      )
    )
    let rows = try integer("batch", in: 1...4096) ?? 8
    let longest = model.family.maximumPositions
    let positions = try integer("length", in: 1...longest) ?? min(128, longest)
    func gradient(_ model: LoadedModel) throws -> Int {
      let report = try model.trainingReport(
        rows: rows,
        positions: positions,
        optimizer: .sgd(),
        threads: 1
      )
      // A client keeps the weights it began with, and their difference.
      return report.plan.totalBytes + 8 * model.parameterCount + model.mappedBytes
    }
    let adapted = try? LoadedModel(
      ModelRequest(directory: directory, head: head, scheme: UpdateScheme("lora:rank=8"))
    )
    let isClassifier = if case .classifier = model.head { true } else { false }
    return Advice.Model(
      parameters: model.parameterCount,
      adapterParameters: adapted?.parameterCount,
      probeMemory: try model.probeReport(rows: rows, positions: positions, threads: 1).totalBytes
        + model.mappedBytes,
      gradientMemory: try gradient(model),
      adapterMemory: try adapted.map(gradient),
      isClassifier: isClassifier
    )
  }
}

extension Advice {
  fileprivate func lines(_ budget: Budget, _ model: Model) -> [String] {
    var lines = [
      "\(model.parameters) parameters would train; measured on: \(task.name)",
      "",
    ]
    if let best = recommended {
      lines.append("Take \(best.method.name): \(best.method.algorithm.serialized())")
      lines.append(
        "It sends \(best.bytes) B a round of the \(budget.bytes) allowed and went "
          + "\(Int((best.reach * 100).rounded())) % of the best method's way in "
          + "\(best.method.rounds) rounds of \(best.method.steps) steps."
      )
      if !best.method.needsGradients {
        lines.append(
          "It measures losses alone: memory of inference, few bytes, and many more steps than a "
            + "method with gradients needs for the same gain."
        )
      }
    } else {
      lines.append("Nothing that was measured fits; the closest are below.")
    }
    lines += ["", "method | B a round | memory, MiB | way | why not"]
    for option in options {
      var reasons: [String] = []
      if !option.fitsBytes { reasons.append("more than \(budget.bytes) B") }
      if let memory = budget.memory, let needed = option.memory, !option.fitsMemory {
        reasons.append("\((needed - memory + (1 << 20) - 1) >> 20) MiB too much memory")
      }
      if option.memory == nil { reasons.append("the model takes no adapters") }
      let memory = option.memory.map { "\(($0 + (1 << 20) - 1) >> 20)" } ?? "–"
      lines.append(
        "\(option.method.name) | \(option.bytes) | \(memory) | "
          + "\(Int((option.reach * 100).rounded())) % | \(reasons.joined(separator: ", "))"
      )
    }
    return lines
  }

  fileprivate var json: JSONValue {
    .object([
      .init("task", .string(task.name)),
      .init("recommended", recommended.map { .string($0.method.name) } ?? .null),
      .init(
        "options",
        .array(
          options.map { option in
            .object([
              .init("method", .string(option.method.name)),
              .init("algorithm", option.method.algorithm),
              .init("bytes", .integer(Int64(option.bytes))),
              .init("memory", option.memory.map { .integer(Int64($0)) } ?? .null),
              .init("reach", .number(option.reach)),
              .init("fits", .bool(option.fits)),
            ])
          }
        )
      ),
    ])
  }
}
