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
  options: [ModelOptions.model] + ModelOptions.data + [ModelOptions.frozen, ModelOptions.threads],
  notes: """
    A model with a classification head is measured by its labels, any other by its next token. Rows
    that are no examples are skipped and reported on standard error.
    """
) { arguments, console in
  let directory = try arguments.required("model")
  let path = try arguments.required("data")
  let team = ThreadTeam(threads: try arguments.threads())
  let model = try LoadedModel(
    ModelRequest(directory: directory, frozen: try arguments.frozen())
  )
  if case .hidden = model.head {
    throw CommandFailure.usage(
      "\(directory): the model has no head, so there is nothing to measure"
    )
  }
  let data = try arguments.data(at: path, for: model)
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
