// Apache-2.0.
public import Codecs
public import FederatedCore

/// Every algorithm, one line each.
public enum AlgorithmCatalog {
  private typealias Entry = (
    name: String,
    start: @Sendable (JSONValue, UInt64) throws(AlgorithmError) -> any AlgorithmSession
  )

  private static let alone: [Entry] = [
    (FedPipe.name, { value, key throws(AlgorithmError) in try FedPipe(value, key: key) }),
    (Ferret.name, { value, key throws(AlgorithmError) in try Ferret(value, key: key) }),
    (FedKSeed.name, { value, key throws(AlgorithmError) in try FedKSeed(value, key: key) }),
    (OneByte.name, { value, key throws(AlgorithmError) in try OneByte(value, key: key) }),
    (
      SharedDirections.name,
      { value, key throws(AlgorithmError) in try SharedDirections(value, key: key) }
    ),
  ]

  private static let entries = alone + DensePreset.all.map(dense)

  private static func dense(_ preset: DensePreset) -> Entry {
    (preset.name, { value, _ throws(AlgorithmError) in try DenseAverage(value, preset: preset) })
  }

  /// Names a run configuration may give.
  public static var names: [String] { entries.map(\.name) }

  /// The session of a fresh run, at its base weights.
  ///
  /// - Parameters:
  ///   - algorithm: the `algorithm` object of the run configuration; unknown settings are refused.
  ///   - key: Philox key of the run.
  public static func start(algorithm: JSONValue, key: UInt64) throws(AlgorithmError)
    -> any AlgorithmSession
  {
    guard case .string(let name)? = algorithm["name"] else {
      throw .setting("name", "missing; write one of \(names.joined(separator: ", "))")
    }
    guard let entry = entries.first(where: { $0.name == name }) else {
      throw .unknownAlgorithm(name, known: names)
    }
    return try entry.start(algorithm, key)
  }
}
