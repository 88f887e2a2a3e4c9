// Apache-2.0.
import Codecs
import CommandLineTool
import Datasets
import FineTuning
import Models
import Tensors

let evalCommand = Command(
  "eval",
  "Measure a model on data: mean loss, and perplexity or accuracy, as JSON.",
  options: [ModelOptions.model, ModelOptions.adapter] + ModelOptions.data + [
    .value("labels", "A,B,…", "Names of the model's classes, where its folder has none."),
    ModelOptions.frozen,
    ModelOptions.threads,
  ],
  notes: """
    A model with a classification head is measured by its labels, any other by its next token. Rows
    that are no examples are skipped and reported on standard error.
    """
) { arguments, console in
  let directory = try arguments.required("model")
  let path = try arguments.required("data")
  let team = ThreadTeam(threads: try arguments.threads())
  let model = try arguments.storedModel()
  if case .hidden = model.head {
    throw CommandFailure.usage(
      "\(directory): the model has no head, so there is nothing to measure; give --adapter, or a "
        + "model that train wrote"
    )
  }
  let labels = arguments.value("labels")?.split(separator: ",").map(String.init)
  if let labels, model.head != .classifier(classes: labels.count) {
    throw CommandFailure.usage("--labels names \(labels.count) classes, the model has another head")
  }
  let data = try arguments.data(at: path, for: model, labels: labels)
  console.note("\(path): \(data.dataset.summary)")
  let workspace = try TrainerWorkspace(model, team: team)
  let clock = ContinuousClock()
  let start = clock.now
  var bar = ProgressBar("eval", total: data.dataset.examples.count, on: console)
  let evaluation = try workspace.evaluate(data) { bar.update($0) }
  bar.finish()
  let seconds = (clock.now - start) / .seconds(1)
  var members: [JSONValue.Member] = [
    .init("model", .string(directory)),
    .init("adapter", arguments.value("adapter").map { .string($0) } ?? .null),
    .init("data", .string(path)),
    .init("examples", .integer(Int64(evaluation.examples))),
    .init("skipped", .integer(Int64(data.dataset.skipped.count))),
    .init("predictions", .integer(Int64(evaluation.predictions))),
    .init("loss", .number(evaluation.meanLoss)),
  ]
  if case .classifier = model.head {
    members.append(.init("accuracy", .number(evaluation.accuracy)))
  } else {
    members.append(.init("perplexity", .number(evaluation.perplexity)))
  }
  members.append(.init("seconds", .number(seconds)))
  console.write(JSONValue.object(members).serialized())
  return .ok
}
