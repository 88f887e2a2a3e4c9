// Apache-2.0.

/// Why a model cannot be used.
public enum ModelError: Error, Equatable, CustomStringConvertible {
  /// `config.json` lacks something or has it in a form that means nothing.
  case configuration(String)
  /// A setting that changes the mathematics and that no family here computes.
  case unsupported(key: String, value: String)
  /// No family of this `model_type`.
  case unknownFamily(String, known: [String])
  /// The checkpoint lacks tensors of the model.
  case missingTensors([String])
  /// A tensor of the checkpoint has another shape than the configuration says.
  case tensorShape(name: String, expected: String, found: String)
  /// The family has no such head.
  case head(String)
  /// Operands of the graph do not fit: a configuration that contradicts itself.
  case graph(String)

  /// What is wrong, and what to do.
  public var description: String {
    switch self {
    case .configuration(let reason): "config.json: \(reason)"
    case .unsupported(let key, let value):
      "config.json: \(key) = \(value) changes the model and no family here computes it"
    case .unknownFamily(let name, let known):
      "config.json: model_type \"\(name)\" is none of \(known.joined(separator: ", "))"
    case .missingTensors(let names):
      "the checkpoint lacks \(names.count) tensors of the model: "
        + names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", …" : "")
    case .tensorShape(let name, let expected, let found):
      "tensor \(name) has the shape \(found), where config.json says \(expected)"
    case .head(let reason): reason
    case .graph(let reason): "config.json contradicts itself: \(reason)"
    }
  }
}
