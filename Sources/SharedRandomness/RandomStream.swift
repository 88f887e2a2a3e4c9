// Apache-2.0.

/// The random numbers of one named use: a pure function of key, purpose, round, client and step.
public struct RandomStream: Sendable, RandomNumberGenerator {
  private let key: UInt64
  private var counter: SIMD4<UInt32>
  private var words = SIMD4<UInt32>()
  private var used = 4

  /// The stream of a purpose; `round` counts below 2^24.
  public init(
    key: UInt64,
    purpose: Purpose,
    round: UInt32 = 0,
    client: UInt32 = 0,
    step: UInt32 = 0
  ) {
    precondition(round < 1 << 24, "a round must be below 2^24")
    self.key = key
    counter = SIMD4(0, client, step, UInt32(purpose.rawValue) << 24 | round)
  }

  /// The next 32 bits.
  public mutating func next32() -> UInt32 {
    if used == 4 {
      words = Philox.block(counter, key: key)
      counter[0] &+= 1
      used = 0
    }
    defer { used += 1 }
    return words[used]
  }

  /// The next 64 bits, low word first.
  public mutating func next() -> UInt64 {
    let low = UInt64(next32())
    return low | UInt64(next32()) << 32
  }

  /// A number below `bound`, each equally likely (Lemire's method with rejection).
  public mutating func uniform(below bound: UInt32) -> UInt32 {
    precondition(bound > 0, "nothing is below zero")
    let threshold = (0 &- bound) % bound
    while true {
      let product = UInt64(next32()) * UInt64(bound)
      if UInt32(truncatingIfNeeded: product) >= threshold { return UInt32(product >> 32) }
    }
  }

  /// A random order of 0..<count (Fisher–Yates from the end).
  public mutating func permutation(of count: Int) -> [Int] {
    var order = Array(0..<count)
    var last = count - 1
    while last > 0 {
      order.swapAt(last, Int(uniform(below: UInt32(last + 1))))
      last -= 1
    }
    return order
  }
}
