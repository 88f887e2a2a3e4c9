// Apache-2.0.
import Execution
import GraphCompiler
import ModelFiles
import Models

/// Why a model cannot be loaded, trained or exported.
public enum FineTuningError: Error, CustomStringConvertible {
  /// The folder's configuration or tensors are not what the family needs.
  case model(directory: String, reason: String)
  /// No tensor's name is matched by any pattern.
  case nothingTrainable(patterns: [String])
  /// An update scheme cannot be read, or does not fit the model.
  case scheme(String, reason: String)
  /// The data cannot be used with this model.
  case data(String)
  /// A defect: plans and weights do not fit.
  case execution(String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .model(let directory, let reason): "\(directory): \(reason)"
    case .nothingTrainable(let patterns):
      "no tensor of the model is matched by \(patterns.joined(separator: ", "))"
    case .scheme(let scheme, let reason): "scheme \(scheme): \(reason)"
    case .data(let reason): reason
    case .execution(let reason): reason
    }
  }

  /// Runs `body` with its errors told as those of a model folder.
  static func inModel<Value>(
    _ directory: String,
    _ body: () throws -> Value
  ) throws(FineTuningError) -> Value {
    do { return try body() } catch let error as FineTuningError { throw error } catch {
      throw .model(directory: directory, reason: "\(error)")
    }
  }

  /// Runs `body` with its errors told as those of graphs.
  static func inGraph<Value>(
    _ body: () throws(GraphError) -> Value
  ) throws(FineTuningError) -> Value {
    do { return try body() } catch { throw .execution("\(error)") }
  }

  /// Runs `body` with its errors told as those of plans.
  static func inPlan<Value>(
    _ body: () throws(ExecutionError) -> Value
  ) throws(FineTuningError) -> Value {
    do { return try body() } catch { throw .execution("\(error)") }
  }
}
