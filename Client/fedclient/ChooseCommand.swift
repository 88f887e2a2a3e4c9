// Apache-2.0.
import Codecs
import CommandLineTool
import Datasets
import FineTuning
import GraphCompiler
import ModelFiles
import Models
import Telemetry
import Tensors

let chooseCommand = Command(
  "choose",
  "Find out which parts of a model are worth training, and those that fit into a budget of memory.",
  options: [ModelOptions.model] + ModelOptions.data + [
    .value("budget", "SIZE", "Bytes a training step may take: 100MiB, 1GiB, bytes."),
    .value("steps", "N", "Steps of each short training (20)."),
    .value("ratios", "R,R…", "Shares of a matrix's input channels to measure (1/4,1)."),
    .value("last", "K", "Only the last K blocks (all)."),
    .value("metric", "loss|accuracy", "What a part is worth (loss)."),
    .value("labels", "A,B,…", "Classes of a new head; auto: the labels of the data."),
    .value("eval-data", "FILE", "Held-out examples."),
    .value("hold-out", "R", "Share of the examples held out instead (0.2)."),
    .value("seed", "N", "Order of the examples, weights of a new head and search (0)."),
    .value("out", "SCHEME.json", "Where scheme and measurements go; train --scheme @SCHEME.json."),
    .value("from", "SCHEME.json", "Take the measurements of an earlier call, for another budget."),
    ModelOptions.frozen,
    ModelOptions.threads,
  ]
    + OptimizerOptions.all.filter {
      ["optimizer", "lr", "learning-rate", "momentum", "weight-decay"].contains($0.name)
    },
  notes: """
    Trains for a few steps, each time from the stored weights: the head alone, then with the biases of
    the last k blocks, then with one more matrix, or the first channels of it. What each adds is its
    contribution. The search then takes those that are worth most together and whose step fits by its
    plan. The head of a classifier trains always, tables of embeddings never.
    """
) { arguments, console in
  let directory = try arguments.required("model")
  guard let budget = byteCount(try arguments.required("budget")) else {
    throw CommandFailure.usage("--budget: expected a size as 200MiB, 1.5GiB or 300000")
  }
  let labels = try arguments.newLabels()
  let seed = UInt64(try arguments.integer("seed") ?? 0)
  let stored = try LoadedModel(ModelRequest(directory: directory))
  let model = try LoadedModel(
    ModelRequest(
      directory: directory,
      head: labels.map { .classifier(classes: $0.count) } ?? stored.head,
      headSeed: seed,
      frozen: try arguments.frozen()
    )
  )
  let (data, heldOut) = try arguments.parted(for: model, labels: labels, seed: seed)
  let parts = try SchemeParts(
    model,
    ratios: try arguments.ratios(),
    last: try arguments.integer("last", in: 1...(1 << 20))
  )
  let optimizer = try arguments.optimizer()
  let settings = ContributionAnalysis.Settings(
    steps: try arguments.integer("steps", in: 1...(1 << 20)) ?? 20,
    batchSize: data.batchSize,
    optimizer: optimizer,
    rate: try arguments.learningRate(of: optimizer),
    seed: seed,
    metric: try arguments.metric()
  )
  let analysis = ContributionAnalysis(
    model,
    team: ThreadTeam(threads: try arguments.threads()),
    settings: settings
  )
  let examples = data.dataset.examples
  func score(_ choice: SchemeParts.Choice) throws -> Double {
    try analysis.score(parts.scheme(choice), training: examples, heldOut: heldOut)
  }
  let measured: ChosenScheme.Measurements
  if let path = arguments.value("from") {
    measured = try ChosenScheme.measurements(at: path, for: parts)
  } else {
    var bar: ProgressBar?
    let (contributions, base) = try Contributions.measured(parts, score: score) { done, count in
      bar = bar ?? ProgressBar("choose", total: count, on: console)
      bar?.update(done)
    }
    bar?.finish()
    measured = .init(contributions: contributions, base: base)
  }
  let positions = max(1, examples.map(\.tokens.count).max() ?? 1)
  var search = SchemeSearch(parts, measured.contributions, budget: budget, seed: seed) {
    choice throws(FineTuningError) in
    try analysis.plannedBytes(try parts.scheme(choice), positions: positions)
  }
  guard let found = try search.run() else {
    let least = try analysis.plannedBytes(try parts.scheme(parts.none), positions: positions)
    throw CommandFailure(
      "even the head alone takes \(mebibytes(least)) of \(mebibytes(budget)) by its plan; take a "
        + "smaller --batch-size or --max-length"
    )
  }
  guard let scheme = try parts.scheme(found.choice) else {
    throw CommandFailure(
      "nothing that fits into \(mebibytes(budget)) made the model better in \(settings.steps) steps; "
        + "try more --steps or another --lr"
    )
  }
  let result = ChosenScheme(
    parts: parts,
    measured: measured,
    found: found,
    scheme: scheme,
    budget: budget,
    reached: try score(found.choice) - measured.base,
    metric: settings.metric
  )
  if let path = arguments.value("out") {
    let text = result.json.serialized(pretty: true) + "\n"
    try ModelFolder.write(Array(text.utf8), to: path)
  }
  switch console.format {
  case .text: for line in result.table { console.write(line) }
  case .json: console.write(result.json.serialized())
  }
  return .ok
}

extension Arguments {
  fileprivate func ratios() throws(CommandFailure) -> [String] {
    let text = value("ratios") ?? "1/4,1"
    let words = text.split(separator: ",").map(String.init)
    let values = words.compactMap { word -> Double? in
      let parts = word.split(separator: "/").compactMap { Double($0) }
      let value = parts.count == 2 ? parts[0] / parts[1] : parts.first
      return value.flatMap { $0 > 0 && $0 <= 1 ? $0 : nil }
    }
    guard !words.isEmpty, values.count == words.count else {
      throw .usage("--ratios \(text): expected shares above 0 and up to 1, as in 1/8,1/2,1")
    }
    // 1.0 and 2/2 are whole matrices too.
    return zip(words, values).sorted { $0.1 < $1.1 }.map { $1 == 1 ? "1" : $0 }
  }

  fileprivate func metric() throws(CommandFailure) -> ContributionAnalysis.Metric {
    let name = value("metric") ?? "loss"
    guard let metric = ContributionAnalysis.Metric(rawValue: name) else {
      throw .usage("--metric \(name) is none of loss and accuracy")
    }
    return metric
  }

  /// The examples to train on, and those held out.
  fileprivate func parted(
    for model: LoadedModel,
    labels: [String]?,
    seed: UInt64
  ) throws -> (rest: ClientData, heldOut: ClientData) {
    let data = try data(at: required("data"), for: model, labels: labels)
    if let path = value("eval-data") {
      return (data, try self.data(at: path, for: model, labels: labels))
    }
    return data.heldOut(share: try number("hold-out", in: 0.0001...0.9999) ?? 0.2, seed: seed)
  }
}
