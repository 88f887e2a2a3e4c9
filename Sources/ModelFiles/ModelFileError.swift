// Apache-2.0.
import Glibc

/// What is wrong with a file of a model.
public enum ModelFileError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The system refused: what was attempted, and `errno`.
  case system(attempt: String, code: Int32)
  /// The file does not follow its format.
  case malformed(file: String, reason: String)
  /// The file has no tensor of this name.
  case missingTensor(file: String, name: String)
  /// The tensor's type is none that can be computed with.
  case unsupportedType(tensor: String, type: String)

  /// What was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .system(let attempt, let code):
      // SAFETY: strerror's text is copied at once.
      "cannot \(attempt): \(unsafe String(cString: strerror(code)))"
    case .malformed(let file, let reason): "\(file): \(reason)"
    case .missingTensor(let file, let name): "\(file): no tensor is called \(name)"
    case .unsupportedType(let tensor, let type):
      "tensor \(tensor) is stored as \(type); convert it to F32, F16 or BF16"
    }
  }
}
