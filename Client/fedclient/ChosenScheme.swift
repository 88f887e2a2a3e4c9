// Apache-2.0.
import Codecs
import CommandLineTool
import FineTuning
import ModelFiles
import Telemetry

/// A scheme that was chosen, with the measurements it was chosen by.
struct ChosenScheme {
  /// What every part is worth, and the score of the head alone.
  struct Measurements {
    let contributions: Contributions
    let base: Double
  }

  let parts: SchemeParts
  let measured: Measurements
  let found: SchemeSearch.Found
  let scheme: UpdateScheme
  let budget: Int
  /// What the scheme was worth when all of it was trained at once.
  let reached: Double
  let metric: ContributionAnalysis.Metric

  /// Lines for people: every part, then the scheme.
  var table: [String] {
    let (contributions, choice) = (measured.contributions, found.choice)
    let unit = metric == .loss ? "nats" : "accuracy"
    var lines = ["  gain, \(unit)  part"]
    func add(_ gain: Double, _ isChosen: Bool, _ name: String) {
      let number = decimal(gain, 4)
      let padding = String(repeating: " ", count: max(0, 12 - number.count))
      lines.append("\(isChosen ? "*" : " ") \(padding)\(number)  \(name)")
    }
    for depth in contributions.biases.indices.dropFirst() {
      add(contributions.biases[depth], depth == choice.depth, "bias:last=\(depth)")
    }
    for (index, matrix) in parts.matrices.enumerated() {
      for (level, ratio) in matrix.ratios.enumerated() {
        add(
          contributions.weights[index][level],
          choice.levels[index] == level + 1,
          matrix.name + (ratio == "1" ? "" : ", \(ratio)")
        )
      }
    }
    lines.append("")
    lines.append("scheme   \(scheme)")
    lines.append("memory   \(mebibytes(found.bytes)) of \(mebibytes(budget)), by its plan")
    lines.append("gain     \(decimal(found.gain, 4)) \(unit) by the sum of its parts")
    lines.append("trained  \(decimal(reached, 4)) \(unit) all at once, as many steps")
    return lines
  }

  /// The same for programs.
  var json: JSONValue {
    let contributions = measured.contributions
    let biases = contributions.biases.indices.dropFirst().map { depth in
      JSONValue.object([
        .init("last", .integer(Int64(depth))), .init("gain", .number(contributions.biases[depth])),
      ])
    }
    let weights = zip(parts.matrices, contributions.weights).flatMap { matrix, gains in
      zip(matrix.ratios, gains).map { ratio, gain in
        JSONValue.object([
          .init("name", .string(matrix.name)), .init("fraction", .string(ratio)),
          .init("gain", .number(gain)),
        ])
      }
    }
    return .object([
      .init("scheme", .string("\(scheme)")),
      .init("planned_bytes", .integer(Int64(found.bytes))),
      .init("budget_bytes", .integer(Int64(budget))),
      .init("metric", .string(metric.rawValue)),
      .init("gain", .number(found.gain)),
      .init("trained_gain", .number(reached)),
      .init("head_alone", .number(measured.base)),
      .init("biases", .array(biases)),
      .init("weights", .array(weights)),
    ])
  }

  /// The measurements an earlier call wrote, for the same parts.
  static func measurements(at path: String, for parts: SchemeParts) throws -> Measurements {
    let root = JSONField(try ModelFolder.json(path, limit: 1 << 26), path: "")
    do throws(JSONError) {
      var biases = [0.0]
      for item in try root["biases"].items() { biases.append(try item["gain"].number()) }
      var gains: [String: Double] = [:]
      for item in try root["weights"].items() {
        let key = "\(try item["name"].string()) \(try item["fraction"].string())"
        gains[key] = try item["gain"].number()
      }
      let weights = parts.matrices.map { matrix in
        matrix.ratios.compactMap { gains["\(matrix.name) \($0)"] }
      }
      let isWhole = zip(weights, parts.matrices).allSatisfy { $0.count == $1.ratios.count }
      guard biases.count == parts.biasDepth + 1, isWhole else {
        throw root.unexpected("measurements of the same model, --ratios and --last")
      }
      return Measurements(
        contributions: Contributions(biases: biases, weights: weights),
        base: try root["head_alone"].number()
      )
    } catch { throw CommandFailure("\(path): \(error)", code: .usage) }
  }
}

/// A scheme as written after `--scheme`, or in the file behind an `@`.
func writtenScheme(_ text: String) throws -> String {
  guard text.hasPrefix("@") else { return text }
  let path = String(text.dropFirst())
  let root = JSONField(try ModelFolder.json(path, limit: 1 << 26), path: "")
  do throws(JSONError) {
    return try root["scheme"].string()
  } catch { throw CommandFailure("\(path): \(error)", code: .usage) }
}
