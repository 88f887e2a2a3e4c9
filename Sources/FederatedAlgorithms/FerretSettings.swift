// Apache-2.0.
import Codecs

/// What a run file says about Ferret.
struct FerretSettings: Sendable, Equatable {
  /// Whose directions a block takes.
  enum Directions: String, Sendable, CaseIterable {
    /// Those of the round, the same for all clients: a round is K numbers.
    case shared
    /// The client's own: errors of clients cancel, and a round is K numbers a client.
    case own
  }

  /// Coordinates of a task, over all blocks.
  let coordinates: Int
  /// Coordinates of a block at least.
  let minimum: Int
  /// Rows of Hadamard matrices, each once, or independent signs.
  let isHadamard: Bool
  let directions: Directions
  let budget: FerretLayout.Budget
  let code: CoordinateCode
  /// Global rate: how far the version follows the mean difference.
  let rate: Double
  /// Bound of the norm of one term γ_k z_k, as published.
  let clip: Double
  /// Bound of the norm of a block's difference; longer ones are scaled down to it.
  let norm: Double
  let local: LocalDescent

  init(_ configuration: JSONValue) throws(AlgorithmError) {
    let settings = try AlgorithmSettings(
      configuration,
      known: [
        "steps", "coordinates", "minimum", "family", "directions", "budget", "code", "rate", "clip",
        "norm",
      ] + LocalDescent.keys
    )
    coordinates = try settings.integer("coordinates", in: 1...(1 << 22), standard: 1024)
    minimum = try settings.integer("minimum", in: 1...64, standard: 2)
    isHadamard = try settings.word("family", of: ["hadamard", "independent"]) == "hadamard"
    directions = try settings.choice("directions", standard: .shared)
    budget = try settings.choice("budget", standard: .norm)
    code = try settings.choice("code", standard: .log8)
    rate = try settings.number("rate", in: 1e-3...1000, standard: 1)
    clip = try settings.number("clip", in: 1e-3...1e6, standard: 10)
    norm = try settings.number("norm", in: 1e-3...256, standard: 16)
    local = try LocalDescent(settings)
  }
}

extension AlgorithmSettings {
  /// One of the cases of an enumeration, by its raw word.
  func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
    _ key: String,
    standard: Choice
  ) throws(AlgorithmError) -> Choice where Choice.RawValue == String {
    let others = Choice.allCases.map(\.rawValue).filter { $0 != standard.rawValue }
    return Choice(rawValue: try word(key, of: [standard.rawValue] + others)) ?? standard
  }
}
