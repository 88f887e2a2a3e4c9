// Apache-2.0.

/// Integer shares of the clients of one aggregation, by their numbers of examples.
public enum AggregationWeights {
  /// Examples of one client at most.
  public static let maximumExamples: UInt64 = 1 << 40

  /// Shares that sum to `Contribution.aggregationWeight` exactly.
  ///
  /// The method of largest remainders, ties to the smaller position; no floating point decides.
  ///
  /// - Parameter examples: examples of each client in order of their ordinals.
  /// - Throws: `FederationError.weights` where there is no client or a count is out of bounds.
  public static func shares(of examples: [UInt64]) throws(FederationError) -> [UInt32] {
    guard !examples.isEmpty, examples.count <= RunConfiguration.maximumClients else {
      throw .weights("\(examples.count) clients; from 1 to \(RunConfiguration.maximumClients)")
    }
    guard let least = examples.min(), let most = examples.max(), least > 0,
      most <= maximumExamples
    else { throw .weights("a client has from 1 to \(maximumExamples) examples") }
    // At most 2^20 clients of 2^40 examples: the sum stays below 2^61.
    let total = UInt128(examples.reduce(0, +))
    let exact = examples.map { UInt128($0) * UInt128(Contribution.aggregationWeight) }
    var shares = exact.map { UInt32($0 / total) }
    let order = exact.indices.sorted {
      let (left, right) = (exact[$0] % total, exact[$1] % total)
      return left == right ? $0 < $1 : left > right
    }
    let missing = Contribution.aggregationWeight - shares.reduce(0, +)
    for index in order.prefix(Int(missing)) { shares[index] += 1 }
    return shares
  }
}
