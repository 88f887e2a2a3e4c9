// Apache-2.0.
import SharedRandomness

/// The choice of parts that is worth most and fits into memory.
///
/// An evolutionary search over the sum of contributions: what fits is bred from what fitted before, by
/// crossing and small changes, and whatever still fits is added to the best. The memory of a choice is
/// whatever `memory` says of it, so it needs no model of its own. Where every part that is worth
/// something fits at once, that is the answer. The same seed gives the same choice.
public struct SchemeSearch {
  private let parts: SchemeParts
  private let contributions: Contributions
  private let budget: Int
  private let memory: (SchemeParts.Choice) throws(FineTuningError) -> Int
  private var known: [SchemeParts.Choice: Int] = [:]
  private var stream: RandomStream

  /// A choice with what it is worth and takes.
  public struct Found: Sendable, Equatable {
    /// The choice.
    public let choice: SchemeParts.Choice
    /// The sum of its contributions.
    public let gain: Double
    /// Bytes.
    public let bytes: Int
  }

  /// A search.
  ///
  /// - Parameters:
  ///   - budget: bytes at most.
  ///   - memory: bytes of a choice.
  public init(
    _ parts: SchemeParts,
    _ contributions: Contributions,
    budget: Int,
    seed: UInt64 = 0,
    memory: @escaping (SchemeParts.Choice) throws(FineTuningError) -> Int
  ) {
    self.parts = parts
    self.contributions = contributions
    self.budget = budget
    self.memory = memory
    stream = RandomStream(key: seed, purpose: .schemeSearch)
  }

  private static let survivors = 12
  private static let children = 24

  /// The best choice found.
  ///
  /// - Parameter generations: of the search.
  /// - Returns: nil where not even the head alone fits.
  public mutating func run(generations: Int = 24) throws(FineTuningError) -> Found? {
    let all = try fitted(greatest)
    if let all, all.gain == bound { return all }
    guard let none = try fitted(parts.none) else { return nil }
    var population = [none] + (all.map { [$0] } ?? [])
    for depth in 1..<contributions.biases.count where contributions.biases[depth] > 0 {
      var choice = parts.none
      choice.depth = depth
      if let found = try fitted(choice) { population.append(found) }
    }
    population = try population.map { found throws(FineTuningError) in
      try grown(found, inOrder: byWorth)
    }
    for _ in 0..<generations {
      population = Self.best(population)
      var next = population
      for _ in 0..<Self.children {
        let pair = (pick(population), pick(population))
        let child = changed(crossed(pair.0.choice, pair.1.choice))
        if let found = try fitted(child) {
          next.append(try grown(found, inOrder: stream.permutation(of: parts.matrices.count)))
        }
      }
      population = next
    }
    return Self.best(population).first
  }

  /// Every part that is worth something, each at its best ratio.
  private var greatest: SchemeParts.Choice {
    var choice = parts.none
    choice.levels = contributions.weights.map { gains in
      let best = gains.indices.max { (gains[$0], $1) < (gains[$1], $0) }
      return best.map { gains[$0] > 0 ? $0 + 1 : 0 } ?? 0
    }
    let least = parts.completed(choice).depth
    choice.depth =
      (least..<contributions.biases.count)
      .max { (contributions.biases[$0], $1) < (contributions.biases[$1], $0) } ?? least
    return choice
  }

  /// No choice is worth more.
  private var bound: Double {
    var sum = contributions.biases.max() ?? 0
    for gains in contributions.weights { sum += max(0, gains.max() ?? 0) }
    return sum
  }

  /// Matrices by what a scalar of them is worth, the best first.
  private var byWorth: [Int] {
    let worth = zip(contributions.weights, parts.matrices).map { gains, matrix in
      (gains.max() ?? 0) / Double(max(1, matrix.count))
    }
    return worth.indices.sorted { (worth[$1], $0) < (worth[$0], $1) }
  }

  /// The choice with the biases it brings along, if it fits.
  private mutating func fitted(_ choice: SchemeParts.Choice) throws(FineTuningError) -> Found? {
    let whole = parts.completed(choice)
    let bytes: Int
    if let old = known[whole] {
      bytes = old
    } else {
      bytes = try memory(whole)
      known[whole] = bytes
    }
    guard bytes <= budget else { return nil }
    return Found(choice: whole, gain: contributions.gain(whole), bytes: bytes)
  }

  /// The choice with more of whatever makes it better and still fits, tried in an order.
  private mutating func grown(
    _ found: Found,
    inOrder order: [Int]
  ) throws(FineTuningError) -> Found {
    var best = found
    for index in order {
      for level in parts.matrices[index].ratios.indices.reversed() {
        var choice = best.choice
        choice.levels[index] = level + 1
        guard contributions.gain(parts.completed(choice)) > best.gain else { continue }
        guard let larger = try fitted(choice) else { continue }
        best = larger
        break
      }
    }
    return best
  }

  private mutating func pick(_ population: [Found]) -> Found {
    population[Int(stream.uniform(below: UInt32(population.count)))]
  }

  private mutating func crossed(
    _ a: SchemeParts.Choice,
    _ b: SchemeParts.Choice
  ) -> SchemeParts.Choice {
    var child = a
    for index in child.levels.indices where stream.next32() & 1 == 1 {
      child.levels[index] = b.levels[index]
    }
    if stream.next32() & 1 == 1 { child.depth = b.depth }
    return child
  }

  /// Takes a few parts out, or sets them to another ratio.
  private mutating func changed(_ choice: SchemeParts.Choice) -> SchemeParts.Choice {
    var made = choice
    let count = made.levels.count
    for _ in 0..<(1 + Int(stream.uniform(below: 3))) where count > 0 {
      let index = Int(stream.uniform(below: UInt32(count)))
      let levels = UInt32(parts.matrices[index].ratios.count + 1)
      made.levels[index] = Int(stream.uniform(below: levels))
    }
    if stream.uniform(below: 4) == 0 {
      made.depth = Int(stream.uniform(below: UInt32(contributions.biases.count)))
    }
    return made
  }

  /// The best of each kind: those worth most, of equals the smallest.
  private static func best(_ population: [Found]) -> [Found] {
    var seen = Set<SchemeParts.Choice>()
    let ordered = population.sorted { a, b in
      if a.gain != b.gain { return a.gain > b.gain }
      if a.bytes != b.bytes { return a.bytes < b.bytes }
      if a.choice.depth != b.choice.depth { return a.choice.depth < b.choice.depth }
      return a.choice.levels.lexicographicallyPrecedes(b.choice.levels)
    }
    return Array(ordered.filter { seen.insert($0.choice).inserted }.prefix(survivors))
  }
}
