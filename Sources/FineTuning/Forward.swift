// Apache-2.0.
import Execution
import GraphCompiler
import Models
public import Tensors

/// Outputs of a model for a batch of ragged rows.
public struct ForwardOutput: Sendable {
  /// `logits`, `hidden` or `pooled`.
  public let name: String
  /// Extents, [B, T, N] or [B, N].
  public let shape: [Int]
  /// Elements, row-major.
  public let values: [Float]
}

extension LoadedModel {
  /// Runs the model on rows of ids padded to one length.
  ///
  /// - Parameters:
  ///   - ids: rows of equal length T, at most the model's positions, every id in its vocabulary.
  ///   - lengths: positions of each row before its right padding, 1 to T.
  /// - Throws: `FineTuningError.data` where they are not.
  public func forward(
    _ ids: [[Int32]],
    lengths: [Int32],
    team: ThreadTeam
  ) throws(FineTuningError) -> [ForwardOutput] {
    guard let positions = ids.first?.count, positions > 0 else { throw .data("an empty batch") }
    guard positions <= family.maximumPositions else {
      throw .data("\(positions) positions; the model has \(family.maximumPositions)")
    }
    for (row, values) in ids.enumerated() {
      guard values.count == positions else {
        throw .data("row \(row) has \(values.count) ids, the first has \(positions)")
      }
      guard values.allSatisfy({ $0 >= 0 && $0 < family.vocabularyCount }) else {
        throw .data("row \(row) has an id outside the vocabulary of \(family.vocabularyCount)")
      }
    }
    guard lengths.count == ids.count, lengths.allSatisfy({ $0 >= 1 && $0 <= positions }) else {
      throw .data("lengths must be 1 to \(positions), one a row")
    }
    let request = GraphRequest(
      sequences: ids.count,
      positions: positions,
      head: head,
      hasLoss: false,
      computesPadding: true
    )
    let graph = try FineTuningError.inModel(self.request.directory) { try self.graph(request) }
    let workspace = Workspace(table, team: team)
    let plan = ExecutionPlan(graph, threads: team.threadCount)
    return try FineTuningError.inPlan { () throws(ExecutionError) in
      let bound = try BoundPlan(plan, in: workspace)
      try bound.set("input_ids", integers: ids.flatMap { $0 })
      try bound.set("lengths", integers: lengths)
      bound.run()
      var outputs: [ForwardOutput] = []
      for (name, value) in graph.outputs {
        let shape = graph.type(of: value).shape
        let isByPosition =
          shape.rows == ids.count * positions && name != "pooled" && !head.isClassifier
        outputs.append(
          ForwardOutput(
            name: name,
            shape: isByPosition ? [ids.count, positions, shape.columns] : shape.dimensions,
            values: try bound.floats(name)
          )
        )
      }
      return outputs
    }
  }
}
